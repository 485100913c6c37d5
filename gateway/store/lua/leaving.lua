-- Prepended to the scripts by which entries leave a session's queue, after queue.lua.

local function pause(reason)
  redis.call('HSET', META, 'paused', reason)
  redis.call('HDEL', META, 'taken', 'urgent')
end
local function is_queued(id, key)
  for _, each in ipairs(ids_of('queue')) do
    if each == id or key ~= '' and select(5, header_of_entry(each)) == key then return true end
  end
  return false
end
-- Forget an entry: it has its run, or is not wanted. Returns whether there was one.
local function drop(id)
  local ids, place = without(ids_of('queue'), id)
  local unsent, aside = without(ids_of('unsent'), id)
  if not (place or aside) then return false end
  keep_ids('queue', ids)
  keep_ids('unsent', unsent)
  redis.call('HDEL', META, 'q|' .. id, 'q|' .. id .. '|')
  if fact('taken'):match('(.-)\n') == id then redis.call('HDEL', META, 'taken') end
  if fact('urgent') == id then redis.call('HDEL', META, 'urgent') end
  return true
end
local function drop_all()
  for _, field in ipairs({'queue', 'unsent'}) do
    for _, line in ipairs(ids_of(field)) do drop(line:match('%S+')) end
  end
  redis.call('HDEL', META, 'paused')
end

-- Put one entry, or all, among those that will not be answered: their senders have them back. Of
-- many, the oldest give way.
local function keep_unsent(unsent)
  while #unsent > MAX_ENTRIES do
    local oldest = table.remove(unsent, 1):match('%S+')
    redis.call('HDEL', META, 'q|' .. oldest, 'q|' .. oldest .. '|')
  end
  keep_ids('unsent', unsent)
end
local function set_aside(reason, id)
  local kept, unsent = {}, ids_of('unsent')
  for _, each in ipairs(ids_of('queue')) do
    local list = (not id or each == id) and unsent or kept
    list[#list + 1] = list == kept and each or each .. ' ' .. reason
  end
  keep_ids('queue', kept)
  keep_unsent(unsent)
  redis.call('HDEL', META, 'taken', 'urgent')
end

-- Update the queue for a main run that opens, for an entry or for another send.
-- rule: keep; resume: a pause ends; clear: what was queued behind another conversation goes aside
local function note_opened(id, rule)
  if fact('queue') .. fact('unsent') .. fact('paused') == '' then return end
  drop(id)
  if rule == 'clear' then set_aside('conversation_changed') end
  if rule ~= 'keep' then redis.call('HDEL', META, 'paused') end
  commit_queue()
end
