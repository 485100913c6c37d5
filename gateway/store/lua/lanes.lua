-- Prepended to the scripts that touch a run, after common.lua.
--
-- The live fields of a run are in its lane: the main run's in META by their names, a side run's in
-- SIDE as `RUN|name`. A lane is {key, what stands before the names, run}. META's `side` lists the
-- side runs that are open, `NL` behind each. A run that is in no lane any more is in RUNS alone.

local function main_lane()
  return {key = META, at = '', run = redis.call('HGET', META, 'run') or ''}
end
local function side_lane(id)
  return {key = SIDE, at = id .. '|', run = id}
end

local function lane_of(id)
  local main = main_lane()
  if main.run == id then
    return main
  end
  return redis.call('HEXISTS', SIDE, id .. '|state') == 1 and side_lane(id) or nil
end

local function get(lane, ...)
  local names = {...}
  for i, name in ipairs(names) do
    names[i] = lane.at .. name
  end
  return redis.call('HMGET', lane.key, unpack(names))
end
local function set(lane, ...)
  local fields = {...}
  for i = 1, #fields, 2 do
    fields[i] = lane.at .. fields[i]
  end
  redis.call('HSET', lane.key, unpack(fields))
end

local function side_lanes()
  local lanes = {}
  for id in (redis.call('HGET', META, 'side') or ''):gmatch('(.-)\n') do
    lanes[#lanes + 1] = side_lane(id)
  end
  return lanes
end

-- The lanes of runs under way, the main one first.
local function open_lanes()
  local lanes, main = side_lanes(), main_lane()
  if main.run ~= '' and get(main, 'state')[1] ~= 'ended' then
    table.insert(lanes, 1, main)
  end
  return lanes
end
