-- Renew held places. Returns the number of all held places.
-- HELD: zset: token -> ms when it expires
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', HELD, '-inf', now)
for _, token in ipairs(tokens) do
  redis.call('ZADD', HELD, now + lease_ms, token)
end
redis.call('PEXPIRE', HELD, lease_ms)
return redis.call('ZCARD', HELD)
