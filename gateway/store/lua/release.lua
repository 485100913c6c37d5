-- End a lease before its time: another process may take the run over now.
-- KEYS: meta
-- ARGV: 1 run  2 fence
-- Returns 1, 0 if the run is not the caller's any more, or `newer`
local m = redis.call('HMGET', KEYS[1], 'run', 'fence', 'state', 'format')
if is_newer(m[4]) then
  return 'newer'
end
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or m[3] == 'ended' then
  return 0
end
redis.call('HSET', KEYS[1], 'lease', now_ms(), 'term', 0)
return 1
