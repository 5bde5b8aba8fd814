-- Returns the entries of a log after a position.
--
-- KEYS  the stream
-- ARGV  the position: "oldest", "newest" or the number of an entry; its nonce;
--       minimum number of bytes to return, if there are as many; nonce of a new log
--
-- The reply is the number of the newest entry, number and nonce of the position,
-- and number, nonce and data of each entry. It is only the number of the newest
-- entry if the log does not have all entries after the position.
local stream = KEYS[1]
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
if not last then
	redis.call('XADD', stream, '0-1', 'n', ARGV[4], 't', '0', 'd', '')
	last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
end
local function number(element) return string.match(element[1], '^%d+') end
local newest = number(last)
if ARGV[1] == 'newest' then
	return {newest, newest, last[2][2]}
end

local oldest = ARGV[1] == 'oldest'
local from = '-'
if not oldest then
	from = ARGV[1] .. '-0'
end
local elements = redis.call('XRANGE', stream, from, '+', 'COUNT', 64)
local first = elements[1]
local reply = {newest, '0', '0'}
local start = 1
if first and number(first) == '0' or not oldest then
	if not first or not oldest and (number(first) ~= ARGV[1] or first[2][2] ~= ARGV[2]) then
		return {newest}
	end
	reply[2], reply[3] = number(first), first[2][2]
	start = 2
end
local bytes = 0
while true do
	for i = start, #elements do
		local e = elements[i]
		reply[#reply + 1] = number(e)
		reply[#reply + 1] = e[2][2] or ''
		reply[#reply + 1] = e[2][6] or ''
		bytes = bytes + #reply[#reply] + 100
	end
	if #elements < 64 or bytes > tonumber(ARGV[3]) then
		return reply
	end
	local at = tonumber(number(elements[#elements])) + 1
	elements = redis.call('XRANGE', stream, string.format('%.0f-0', at), '+', 'COUNT', 64)
	start = 1
end
