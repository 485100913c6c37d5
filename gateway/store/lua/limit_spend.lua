-- Count the tokens that a run has used, once.
-- KEYS: 1 `DAY TOKENS` used  2 zset: run that was counted -> ms when that is forgotten
-- ARGV: 1 run  2 tokens  3 remember a run: ms
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
if redis.call('ZADD', KEYS[2], 'NX', now + ARGV[3], ARGV[1]) == 0 then
  return 0
end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -2001)
local tokens = used_today(1, now) + ARGV[2]
redis.call('SET', KEYS[1], string.format('%.0f %.0f', math.floor(now / DAY_MS), tokens),
  'PX', DAY_MS - now % DAY_MS)
return 1
