-- Read one run.
-- Returns {kept run, next: int}, nil if there is none, or `lost`
if is_lost() then
  return 'lost'
end
local kept = redis.call('HGET', RUNS, run)
if not kept then
  return nil
end
local m = redis.call('HMGET', META, 'run', 'next')
return {kept, tonumber(m[1] == run and m[2] or kept:match('\n(.-)\n'))}
