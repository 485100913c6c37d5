-- Prepended to the scripts that take entries for their runs, after leaving.lua.
local MAX_CUTS = 3

local function take_first(now)
  local id = ids_of('queue')[1]
  redis.call('HSET', META, 'taken', id .. '\n' .. now + take_ms)
  return id
end

-- Judge, once, what the end of the main run means for the queue. Returns the entry that it takes.
local function settle(lane, now)
  local outcome, stop = unpack(get(lane, 'outcome', 'stop'), 1, 2)
  local cuts = outcome == 'interrupted' and (tonumber(fact('cuts')) or 0) + 1 or 0
  redis.call('HSET', META, 'settled', lane.run, 'cuts', cuts)
  if fact('queue') == '' then return nil end
  local is_urgent = fact('urgent') ~= '' or outcome == 'stopped' and fact('resumed') == lane.run
  if not is_urgent and outcome == 'stopped' then
    if stop ~= '"interrupt"' then -- else a send waits for the end, and opens first
      pause('stopped')
      commit_queue()
    end
    return nil
  end
  if not is_urgent and outcome ~= 'finished' and (outcome ~= 'interrupted' or cuts >= MAX_CUTS) then
    pause('failed')
    commit_queue()
    return nil
  end
  if not is_urgent and fact('paused') ~= '' then return nil end
  if not is_urgent and waiting_for(now) then
    commit_queue()
    return nil
  end
  return take_first(now)
end
