-- What the scripts of a store have in common.
--
-- KEYS  the records, a hash of revision:value; when those with a time to live
--       expire, in milliseconds; the changes, a stream
-- ARGV  channel, changes to keep, a random token of this call
--
-- A change has its revision as its number, and {k key, x 1 if the record is gone,
-- n token}. Revisions are microseconds since 1970, or the last one and 1: so
-- they go on growing even if the server has lost all.
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

-- sweep removes some of the records whose time is over.
local function sweep(most)
	local now = string.format('%.0f', math.floor(micros / 1000))
	for _, key in ipairs(redis.call('ZRANGEBYSCORE', deadlines, '-inf', now, 'LIMIT', 0, most)) do
		remove(key)
	end
end

-- tell wakes the watchers. One that misses it looks by itself.
local function tell()
	if changed then
		redis.pcall('PUBLISH', ARGV[1], '')
	end
end

-- held returns revision and value of a record, "0" if there is none.
local function held(key)
	local record = redis.call('HGET', records, key)
	if not record then
		return '0', ''
	end
	local colon = string.find(record, ':', 1, true)
	return string.sub(record, 1, colon - 1), string.sub(record, colon + 1)
end
