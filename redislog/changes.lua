-- Returns the records that have changed since a revision.
--
-- ARGV  revision, "" to start; token of the change with that revision; prefix of
--       keys; minimum number of bytes to return, if there are as many
--
-- The reply is 1 if there are no more changes, otherwise 0; milliseconds until the
-- next record expires, or -1; revision and token to continue from; and for each
-- change key, revision, "1" if the record was deleted, and value. A change that was
-- followed by another one of the same record is skipped. The reply is empty if the
-- changes since that revision are no longer kept.
local from, token, prefix, most = ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7])
sweep(100)
if not newest() then
	change('', '1')
end
wake()
local wait = -1
local next = redis.call('ZRANGE', deadlines, 0, 0, 'WITHSCORES')[2]
if next then
	wait = math.max(0, math.ceil(tonumber(next) - micros / 1000))
end
if from == '' then
	local last = newest()
	return {1, wait, number(last), last[2][6]}
end

local elements = redis.call('XRANGE', changes, from .. '-0', '+', 'COUNT', 256)
if not elements[1] or number(elements[1]) ~= from or elements[1][2][6] ~= token then
	return {}
end
local reply = {1, wait, from, token}
local bytes, start = 0, 2
while true do
	for i = start, #elements do
		local e = elements[i]
		local key, gone = e[2][2], e[2][4]
		if key ~= '' and string.sub(key, 1, #prefix) == prefix then
			local rev, value = current(key)
			if gone == '1' and rev == '0' or rev == number(e) then
				reply[#reply + 1] = key
				reply[#reply + 1] = number(e)
				reply[#reply + 1] = gone
				reply[#reply + 1] = value
				bytes = bytes + #key + #value
			end
		end
		reply[3], reply[4] = number(e), e[2][6]
		if bytes > most then
			if i < #elements or #elements == 256 then
				reply[1] = 0
			end
			return reply
		end
	end
	if #elements < 256 then
		return reply
	end
	local at = tonumber(reply[3]) + 1
	elements = redis.call('XRANGE', changes, string.format('%.0f-0', at), '+', 'COUNT', 256)
	start = 1
end
