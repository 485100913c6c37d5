-- Prepended to the scripts that write records of runs, after lanes.lua.

-- Commit the present state of a run, and keep it as `fence next opened record` by its id.
local function commit_run(lane)
  local m = get(lane, 'fence', 'next', 'opened', 'state', 'outcome', 'stop', 'started', 'ended',
    'info')
  local record = (lane.key == SIDE and 'sr\n' or 'r\n') .. table.concat(m, '\n', 4)
  local id = commit(record)
  if m[3] == '' then
    m[3] = id
    set(lane, 'opened', id)
  end
  redis.call('HSET', RUNS, lane.run, table.concat({m[1], m[2], m[3], record}, '\n'))
  return id
end

local function commit_stop(lane, by)
  set(lane, 'state', 'stopping', 'stop', by)
  commit_run(lane)
end

local function id_of(text)
  local time, sequence = text:match('(%d+)-?(%d*)')
  return tonumber(time), tonumber(sequence) or 0
end

-- Trim records before a time or an id, except those of these lanes' runs.
local function trim_to(before, lanes)
  for _, lane in ipairs(lanes) do
    local opened = get(lane, 'opened')[1]
    local time, sequence = id_of(opened)
    local time_before, sequence_before = id_of(before)
    if time < time_before or time == time_before and sequence <= sequence_before then
      before = opened
    end
  end
  return redis.call('XTRIM', LOG, 'MINID', '=', before)
end

-- Let go of a side run's live fields; RUNS keeps it.
local function leave_lane(lane)
  for _, field in ipairs(redis.call('HKEYS', SIDE)) do
    if field:sub(1, #lane.at) == lane.at then
      redis.call('HDEL', SIDE, field)
    end
  end
  local others = ''
  for _, each in ipairs(side_lanes()) do
    others = each.run == lane.run and others or others .. each.run .. '\n'
  end
  redis.call('HSET', META, 'side', others)
end
