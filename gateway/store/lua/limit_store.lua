-- Say how many bytes entries of one scope have now.
-- entries: of each its name, bytes (0: it is gone), ttl: ms
local now = now_ms()
sum_stored(now)
for i = 1, #entries, 3 do
  local entry, bytes = entries[i], tonumber(entries[i + 1])
  local before = tonumber(redis.call('HGET', SIZES, entry) or 0)
  redis.call('HINCRBY', SIZES, '', bytes - before)
  if bytes > 0 then
    redis.call('HSET', SIZES, entry, bytes)
    redis.call('ZADD', STORED, now + entries[i + 2], entry)
  else
    redis.call('HDEL', SIZES, entry)
    redis.call('ZREM', STORED, entry)
  end
end
if redis.call('PEXPIRE', STORED, longest_ms) == 0 then
  return redis.call('DEL', SIZES)
end
redis.call('PEXPIRE', SIZES, longest_ms)
return 1
