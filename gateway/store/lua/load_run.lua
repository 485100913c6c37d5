-- Read one run.
-- ARGV: 1 run
-- Returns {kept run, next: int}, nil if there is none, or `lost`
if is_lost() then
  return 'lost'
end
local kept = redis.call('HGET', KEYS[4], ARGV[1])
if not kept then
  return nil
end
local m = redis.call('HMGET', KEYS[1], 'run', 'next')
return {kept, tonumber(m[1] == ARGV[1] and m[2] or kept:match('\n(.-)\n'))}
