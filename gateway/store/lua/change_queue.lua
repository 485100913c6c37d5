-- Change the queue as a whole. how: clear; resume; now: send one entry before all others, whatever
-- the queue waits for.
-- Returns {status, the main run under way or '', the run that has the entry or ''}
is_lost() -- and then it is gone
local m = redis.call('HMGET', META, 'epoch', 'format')
if not m[1] then
  return {'absent', '', ''}
end
if is_newer(m[2]) then
  return {'newer', '', ''}
end
local lane, ids = main_lane(), ids_of('queue')
local active = lane.run ~= '' and get(lane, 'state')[1] ~= 'ended' and lane.run or ''
if how == 'clear' then
  local id = fact('taken'):match('(.-)\n')
  for _, each in ipairs(ids) do
    if each ~= id then drop(each) end -- its run is being opened
  end
  for _, line in ipairs(ids_of('unsent')) do drop(line:match('%S+')) end
  redis.call('HDEL', META, 'paused')
elseif how == 'resume' then
  end_pause()
  redis.call('HDEL', META, 'cuts')
else
  local others, place = without(ids, entry)
  if not place then
    local stored = redis.call('HGET', MESSAGES, entry .. '|')
    return {stored and 'taken' or 'absent', active, stored and stored:match('\n.-\n([^\n]*)') or ''}
  end
  if fact('taken'):match('(.-)\n') == entry then
    return {'changed', active, ''} -- it is its turn
  end
  table.insert(others, 1, entry)
  keep_ids('queue', others)
  redis.call('HDEL', META, 'paused', 'taken')
  redis.call('HSET', META, 'urgent', entry)
end
commit_queue()
refresh(ttl_s)
return {'changed', active, ''}
