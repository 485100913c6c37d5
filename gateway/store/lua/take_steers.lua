-- Read the steers of the main run, for its next step, or only for a look. They wait on until they are
-- confirmed.
-- Returns {status: taken, fenced or newer, then of each {id, message}}
if is_lost() then
  return {'fenced'}
end
if is_newer(redis.call('HGET', META, 'format')) then
  return {'newer'}
end
local lane = main_lane()
local m = get(lane, 'fence', 'state')
if lane.run ~= run or m[1] ~= fence or m[2] ~= 'open' then
  return {'fenced'}
end
local taken, only = {'taken'}, {}
for _, id in ipairs(ids) do only[id] = true end
for _, id in ipairs(ids_of('steers')) do
  local its_run, _, its_hash, its_size, key, at, back, by = header_of_steer(id)
  if its_run == run then
    if step ~= '' and (#ids == 0 or only[id]) then
      put_header(id, its_run, step, its_hash, its_size, key, at, back, by)
    end
    taken[#taken + 1] = {id, fact('s|' .. id .. '|'):match('\n(.*)')}
  end
end
return taken
