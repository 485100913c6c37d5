-- Keep a run's checkpoint, for the process that resumes the run if its producer dies.
-- Returns 1, 0 if the run is not the caller's any more, or `newer`
if is_newer(redis.call('HGET', META, 'format')) then
  return 'newer'
end
local lane = lane_of(run)
local m = lane and get(lane, 'fence', 'state')
if not m or m[1] ~= fence or m[2] == 'ended' or m[2] == 'waiting' then
  return 0
end
set(lane, 'point', point)
return 1
