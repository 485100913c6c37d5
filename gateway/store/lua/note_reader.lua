-- Note whether the worker of a pushed run reads steers, for as long as its claim stands. What waits
-- for a worker that reads none comes back.
-- Returns 'noted', 'fenced' or 'newer'
if is_lost() then
  return 'fenced'
end
if is_newer(redis.call('HGET', META, 'format')) then
  return 'newer'
end
local lane = main_lane()
local m = get(lane, 'fence', 'state')
if lane.run ~= run or m[1] ~= fence or m[2] == 'ended' then
  return 'fenced'
end
if reads == '1' then
  redis.call('HSET', META, 'reader', run .. '\n' .. fence)
else
  give_back('unsupported', '')
end
refresh(ttl_s)
return 'noted'
