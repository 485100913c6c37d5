-- Give back a message that the main run cannot have, as its producer says.
-- Returns 'refused', 'fenced' or 'newer'
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
if header_of_steer(entry) == run then
  give_back(reason, '', entry)
end
refresh(ttl_s)
return 'refused'
