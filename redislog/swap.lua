-- Replaces a record if it has a certain revision, unless this call has done so
-- already.
--
-- KEYS  the key that remembers the call
-- ARGV  key, revision, "delete" or "set", value, milliseconds to live,
--       milliseconds to remember the call
--
-- The reply is 1 and the record's new revision, or 0, the record's present revision
-- and its value.
local call = KEYS[4]
local key, old, verb, value, ttl, window = ARGV[4], ARGV[5], ARGV[6], ARGV[7], tonumber(ARGV[8]), ARGV[9]
local done = redis.call('GET', call)
if done then
	return {1, done}
end
sweep(10)
local deadline = redis.call('ZSCORE', deadlines, key)
if deadline and tonumber(deadline) * 1000 <= micros then
	remove(key)
end
local rev, present = current(key)
if rev ~= old then
	wake()
	return {0, rev, present}
end
if verb == 'delete' then
	if rev == '0' then
		wake()
		return {1, '0'}
	end
	rev = remove(key)
else
	rev = change(key, '0')
	redis.call('HSET', records, key, rev .. ':' .. value)
	if ttl > 0 then
		redis.call('ZADD', deadlines, string.format('%.0f', math.ceil(micros / 1000) + ttl), key)
	else
		redis.call('ZREM', deadlines, key)
	end
end
redis.call('SET', call, rev, 'PX', window)
wake()
return {1, rev}
