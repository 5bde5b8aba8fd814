-- Returns some of the records, as HSCAN does.
--
-- ARGV  cursor, prefix of keys
--
-- The reply is the next cursor, "0" at the end, and key, revision and value of
-- each record.
local prefix = ARGV[5]
local page = redis.call('HSCAN', records, ARGV[4], 'COUNT', 256)
local reply = {page[1]}
for i = 1, #page[2], 2 do
	local key, record = page[2][i], page[2][i + 1]
	if string.sub(key, 1, #prefix) == prefix then
		local colon = string.find(record, ':', 1, true)
		reply[#reply + 1] = key
		reply[#reply + 1] = string.sub(record, 1, colon - 1)
		reply[#reply + 1] = string.sub(record, colon + 1)
	end
end
return reply
