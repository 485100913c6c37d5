-- Count the tokens that a run has used, once.
-- COUNTED: zset: run that was counted -> ms when that is forgotten
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', COUNTED, '-inf', now)
if redis.call('ZADD', COUNTED, 'NX', now + remember_ms, run) == 0 then
  return 0
end
redis.call('PEXPIRE', COUNTED, remember_ms)
redis.call('ZREMRANGEBYRANK', COUNTED, 0, -2001)
local used = used_today(now) + tokens
redis.call('SET', USED, string.format('%.0f %.0f', math.floor(now / DAY_MS), used),
  'PX', DAY_MS - now % DAY_MS)
return 1
