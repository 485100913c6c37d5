-- Read the state that is kept for resuming a run: for its own producer only.
-- Returns {facts, point}, or nil if the run is not the caller's any more
local lane = lane_of(run)
local m = lane and get(lane, 'fence', 'state', 'facts', 'point')
if not m or m[1] ~= fence or m[2] == 'ended' then
  return nil
end
return {m[3] or '', m[4] or ''}
