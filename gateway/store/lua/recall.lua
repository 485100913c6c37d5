-- Read what is kept for going on with a run: for its producer, new or old, alone.
-- KEYS: meta
-- ARGV: 1 run  2 fence
-- Returns {facts, point}, or nil if the run is not the caller's any more
local m = redis.call('HMGET', KEYS[1], 'run', 'fence', 'state', 'facts', 'point')
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] or m[3] == 'ended' then
  return nil
end
return {m[4] or '', m[5] or ''}
