-- Members of a hint whose time has come, oldest first.
-- KEYS: 1 the hint
-- ARGV: 1 limit: int
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms(), 'LIMIT', 0, ARGV[1])
