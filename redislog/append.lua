-- Appends an entry, unless its id was used before, and returns its number.
--
-- KEYS  the stream; the key that remembers the id
-- ARGV  nonce, data, number of entries to keep, bytes to keep (negative: no limit),
--       milliseconds to remember the id, channel, nonce of a new log
--
-- An element of the stream is {n nonce, t total, d data}, where total is the number
-- of bytes of all data so far: the size of what is kept follows from its two ends.
-- Entry n has the id n-0, so that a missing entry is detected. The first element of
-- a log precedes its first entry: it has the id 0-1, and a random nonce that
-- distinguishes the log from another one in its place.
local known = redis.call('GET', KEYS[2])
if known then
	return known
end
local stream = KEYS[1]
local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
local n, total = 0, 0
if last then
	n, total = tonumber(string.match(last[1], '^%d+')), tonumber(last[2][4])
else
	redis.call('XADD', stream, '0-1', 'n', ARGV[7], 't', '0', 'd', '')
end
n, total = string.format('%.0f', n + 1), total + #ARGV[2]
redis.call('XADD', stream, n .. '-0', 'n', ARGV[1], 't', string.format('%.0f', total), 'd', ARGV[2])
redis.call('SET', KEYS[2], n, 'PX', ARGV[5])

local keep, keepBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local length = redis.call('XLEN', stream)
if keep >= 0 and length > keep + 2 then -- the limit was higher before
	length = keep + 1
	redis.call('XTRIM', stream, 'MAXLEN', length)
end
while length > 1 do
	local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
	local bytes = total - tonumber(first[2][4]) + #first[2][6]
	local entries = length
	if first[1] == '0-1' then
		entries = entries - 1
	end
	if (keep < 0 or entries <= keep) and (keepBytes < 0 or bytes <= keepBytes or entries == 1) then
		break
	end
	length = length - 1
	redis.call('XTRIM', stream, 'MAXLEN', length)
end
redis.pcall('PUBLISH', ARGV[6], n) -- a follower that misses it asks by itself
return n
