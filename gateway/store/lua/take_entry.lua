-- Take the first entry of the queue, if it is its turn, or what this process has taken already.
-- Returns {'taken', id, header, content}, {'later', ms until somebody should look again, whether
-- steers wait: 1 or 0}, {'none'} if nothing is to be taken, or {'newer'}
local LOOK_AGAIN_MS = 10000
if is_lost() or fact('queue') .. fact('steers') == '' then
  return {'none'}
end
if is_newer(redis.call('HGET', META, 'format')) then
  return {'newer'}
end
local now, lane = now_ms(), main_lane()
local busy = lane.run ~= '' and get(lane, 'state')[1] ~= 'ended'
local was_empty = fact('queue') == ''
give_back('finished', busy and lane.run or '') -- what an older gateway has left
local function later(ms)
  return {'later', ms, fact('steers') ~= '' and 1 or 0}
end
local function taken(id)
  return {'taken', id, fact('q|' .. id), fact('q|' .. id .. '|')}
end
if busy then
  redis.call('HDEL', META, 'taken')
  return later(LOOK_AGAIN_MS)
end
if fact('queue') == '' then
  return {'none'}
end
local id, deadline = fact('taken'):match('(.-)\n(.*)')
if id then
  local left = tonumber(deadline) - now
  if id ~= mine and left > 0 and left <= tonumber(take_ms) then
    return later(left)
  end
  return taken(take_first(now))
end
if fact('settled') ~= lane.run or was_empty then
  -- An older gateway has closed the run, maybe unaware of its steers, or the entries are older.
  id = settle(lane, now)
  return id and taken(id) or later(LOOK_AGAIN_MS)
end
local kind, left = waiting_for(now)
if fact('urgent') == '' then
  if fact('paused') ~= '' then
    return {'none'}
  end
  if kind then
    return later(left)
  end
end
return taken(take_first(now))
