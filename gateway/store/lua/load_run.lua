-- Read one run.
-- KEYS: meta log feed runs
-- ARGV: 1 run
-- Returns {kept run, next: int}, or nil if there is none
local kept = redis.call('HGET', KEYS[4], ARGV[1])
if not kept then
  return nil
end
local m = redis.call('HMGET', KEYS[1], 'run', 'next')
return {kept, tonumber(m[1] == ARGV[1] and m[2] or kept:match('\n(.-)\n'))}
