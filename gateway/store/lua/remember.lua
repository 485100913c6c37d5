-- Keep where a run stands, for whoever goes on with it should its producer die.
-- Returns 1, 0 if the run is not the caller's any more, or `newer`
local m = redis.call('HMGET', META, 'run', 'fence', 'state', 'format')
if is_newer(m[4]) then
  return 'newer'
end
if m[1] ~= run or m[2] ~= fence or m[3] == 'ended' then
  return 0
end
redis.call('HSET', META, 'point', point)
return 1
