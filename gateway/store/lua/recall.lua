-- Read what is kept for going on with a run: for its producer, new or old, alone.
-- Returns {facts, point}, or nil if the run is not the caller's any more
local m = redis.call('HMGET', META, 'run', 'fence', 'state', 'facts', 'point')
if m[1] ~= run or m[2] ~= fence or m[3] == 'ended' then
  return nil
end
return {m[4] or '', m[5] or ''}
