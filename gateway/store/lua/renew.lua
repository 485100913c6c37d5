-- Extend a run's lease, and the session's time to live.
-- Returns {held: 1 or 0, `newer` or `lost`, stopped by}
if is_lost() then
  return {'lost', ''}
end
if is_newer(redis.call('HGET', META, 'format')) then
  return {'newer', ''}
end
local lane = lane_of(run)
local m = lane and get(lane, 'fence', 'state', 'stop')
if not m or m[1] ~= fence or m[2] == 'ended' or m[2] == 'waiting' then
  return {0, ''}
end
-- Its producer says how long it waits for the next one, or has said so.
set_lease(lane, lease_ms, m[2] == 'open' and patience_ms ~= '' and patience_ms or (patience_of(lane)))
refresh(ttl_s)
return {1, m[3]}
