-- The common part of a store's scripts.
--
-- KEYS  the records, a hash of revision:value; the times at which records with a
--       time to live expire, in milliseconds; the changes, a stream
-- ARGV  channel, number of changes to keep, a random token of this call
--
-- The number of a change is its revision. Its fields are {k key, x 1 if the record
-- was deleted, n token}. A revision is the time in microseconds since 1970, or the
-- last revision plus 1 if that is greater: so revisions keep growing even if the
-- server has lost everything.
local records, deadlines, changes = KEYS[1], KEYS[2], KEYS[3]
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local changed = false

local function newest()
	return redis.call('XREVRANGE', changes, '+', '-', 'COUNT', 1)[1]
end

local function number(element) return string.match(element[1], '^%d+') end

local function change(key, gone)
	local last = newest()
	local rev = micros
	if last and tonumber(number(last)) >= rev then
		rev = tonumber(number(last)) + 1
	end
	rev = string.format('%.0f', rev)
	redis.call('XADD', changes, 'MAXLEN', '~', ARGV[2], rev .. '-0', 'k', key, 'x', gone, 'n', ARGV[3])
	changed = true
	return rev
end

local function remove(key)
	local rev = change(key, '1')
	redis.call('HDEL', records, key)
	redis.call('ZREM', deadlines, key)
	return rev
end

-- sweep removes some of the expired records.
local function sweep(most)
	local now = string.format('%.0f', math.floor(micros / 1000))
	for _, key in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', now, 'LIMIT', 0, most)) do
		remove(key)
	end
end

-- wake wakes the watchers. One that misses the message asks by itself.
local function wake()
	if changed then
		redis.pcall('PUBLISH', ARGV[1], '')
	end
end

-- current returns revision and value of a record, or "0" if it does not exist.
local function current(key)
	local record = redis.call('HGET', records, key)
	if not record then
		return '0', ''
	end
	local colon = string.find(record, ':', 1, true)
	return string.sub(record, 1, colon - 1), string.sub(record, colon + 1)
end
