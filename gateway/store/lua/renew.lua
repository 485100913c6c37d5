-- Extend a run's lease, and the session's time to live.
-- ARGV: 1 run  2 fence  3 lease: ms  4 ttl: s
-- Returns {held: 1 or 0, `newer` or `lost`, stopped by}
if is_lost() then
  return {'lost', ''}
end
local m = redis.call('HMGET', KEYS[1], 'run', 'fence', 'state', 'stop', 'format')
if is_newer(m[5]) then
  return {'newer', ''}
end
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or m[3] == 'ended' then
  return {0, ''}
end
set_lease(ARGV[3])
refresh(ARGV[4])
return {1, m[4]}
