-- Read one run.
-- Returns {kept run, next: int}, nil if there is none, or `lost`
if is_lost() then
  return 'lost'
end
local kept = redis.call('HGET', RUNS, run)
if not kept then
  return nil
end
local lane = lane_of(run)
return {kept, tonumber(lane and get(lane, 'next')[1] or kept:match('\n(.-)\n'))}
