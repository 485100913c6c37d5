-- Go on holding places. Returns how many are held in all.
-- KEYS: 1 zset: token -> ms when it expires
-- ARGV: 1 lease: ms  2.. tokens
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
for i = 2, #ARGV do
  redis.call('ZADD', KEYS[1], now + ARGV[1], ARGV[i])
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('ZCARD', KEYS[1])
