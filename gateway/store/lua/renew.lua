-- Extend a run's lease, and the session's time to live.
-- Returns {held: 1 or 0, `newer` or `lost`, stopped by}
if is_lost() then
  return {'lost', ''}
end
local m = redis.call('HMGET', META, 'run', 'fence', 'state', 'stop', 'format')
if is_newer(m[5]) then
  return {'newer', ''}
end
if m[1] ~= run or m[2] ~= fence or m[3] == 'ended' then
  return {0, ''}
end
set_lease(lease_ms)
refresh(ttl_s)
return {1, m[4]}
