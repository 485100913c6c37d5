-- Show another version: the newest message below it becomes the head. See SessionStore.select.
-- Returns {status, the head, or a run that is in the way, or ''}
is_lost() -- and then the session is gone
local m = redis.call('HMGET', META, 'epoch', 'format', 'head')
if m[1] ~= epoch then
  return {'gone', ''}
end
if is_newer(m[2]) then
  return {'newer', ''}
end

local parent_of, children, marks = {}, {}, {}
for _, id in ipairs(redis.call('HKEYS', MESSAGES)) do
  if not id:find('|', 1, true) then
    local its = redis.call('HMGET', MESSAGES, id .. '|', id .. '||')
    local parent, side = (its[1] or ''):match('^(.-)\n.-\n[^\n]*(.*)')
    if parent and side == '' and its[2] ~= 'deleted' then
      parent_of[id], marks[id] = parent, (its[2] or ''):match('%d+%-%d+') or '0-0'
      children[parent] = children[parent] or {}
      table.insert(children[parent], id)
    end
  end
end
if not marks[message] then
  local is_deleted = redis.call('HGET', MESSAGES, message .. '||') == 'deleted'
  return {is_deleted and 'deleted' or 'absent', ''}
end
local at, seen = m[3], {}
while at and at ~= message and not seen[at] do
  seen[at], at = true, parent_of[at]
end
if at == message then
  return {'selected', m[3]} -- it is shown
end
local lane = main_lane()
if lane.run ~= '' and get(lane, 'state')[1] ~= 'ended' then
  return {is_due(lane, now_ms()) and 'orphan' or 'active', lane.run}
end
if fact('queue') ~= '' then
  return {'queued', ''}
end

local function came_later(a, b)
  local time_a, sequence_a = id_of(marks[a])
  local time_b, sequence_b = id_of(marks[b])
  return time_a > time_b or time_a == time_b and sequence_a > sequence_b
end
local leaf, below = nil, {message}
while #below > 0 do
  local id = table.remove(below)
  for _, child in ipairs(children[id] or {}) do below[#below + 1] = child end
  if not children[id] and (not leaf or came_later(id, leaf)) then leaf = id end
  children[id] = {}
end
redis.call('HDEL', META, 'waits') -- what the answer that was shown has waited for
redis.call('HSET', META, 'head', leaf)
set_reset()
commit('se\n' .. message .. '\n' .. leaf .. '\n' .. by)
refresh(ttl_s)
return {'selected', leaf}
