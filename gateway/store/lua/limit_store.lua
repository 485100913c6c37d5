-- Say how many bytes entries of one scope have now.
-- KEYS: 1 zset: entry -> ms when it expires  2 hash: entry -> bytes, '' -> their sum
-- ARGV: 1 longest ttl: ms  then of each entry: its name, bytes (0: it is gone), ttl: ms
local now = now_ms()
sum_stored(1, now)
for i = 2, #ARGV, 3 do
  local entry, bytes = ARGV[i], tonumber(ARGV[i + 1])
  local before = tonumber(redis.call('HGET', KEYS[2], entry) or 0)
  redis.call('HINCRBY', KEYS[2], '', bytes - before)
  if bytes > 0 then
    redis.call('HSET', KEYS[2], entry, bytes)
    redis.call('ZADD', KEYS[1], now + ARGV[i + 2], entry)
  else
    redis.call('HDEL', KEYS[2], entry)
    redis.call('ZREM', KEYS[1], entry)
  end
end
if redis.call('PEXPIRE', KEYS[1], ARGV[1]) == 0 then
  return redis.call('DEL', KEYS[2])
end
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return 1
