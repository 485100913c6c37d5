-- Delete one message, or all; its children hang on its parent then. See SessionStore.delete.
-- Returns {status, a run that is in the way or ''}
is_lost() -- and then the session is gone
local m = redis.call('HMGET', META, 'epoch', 'format', 'head')
if m[1] ~= epoch then
  return {'gone', ''}
end
if is_newer(m[2]) then
  return {'newer', ''}
end
local one, lanes = message, open_lanes()
for _, lane in ipairs(lanes) do
  local its = get(lane, 'answers', 'writes')
  if one == '' or one == its[1] or one == its[2] then
    return {is_due(lane, now_ms()) and 'orphan' or 'active', lane.run}
  end
end

local function overwrite(id)
  redis.call('HSET', MESSAGES, id, '', id .. '|', '\n\n', id .. '||', 'deleted')
end
local function mark_unasked(id)
  local mark = redis.call('HGET', MESSAGES, id .. '||') or ''
  if not mark:find(' ', 1, true) then
    redis.call('HSET', MESSAGES, id .. '||', mark .. ' unasked')
  end
end

local parent = one ~= '' and header_of(one):match('(.-)\n') or ''
if one ~= '' then
  local mark = redis.call('HGET', MESSAGES, one .. '||')
  if mark == 'deleted' or header_of(one) == '' then
    return {mark == 'deleted' and 'deleted' or 'absent', ''}
  end
  for _, id in ipairs(children_of(one)) do
    hang(id, parent)
    mark_unasked(id)
  end
  overwrite(one)
else
  for _, id in ipairs(redis.call('HKEYS', MESSAGES)) do
    if not id:find('|', 1, true) then overwrite(id) end
  end
  redis.call('HDEL', META, 'notes')
  drop_all()
  forget_steers()
end
if one == '' or m[3] == one then redis.call('HSET', META, 'head', parent) end
if parent == '' then redis.call('HSET', META, 'title', '') end
-- Older gateways would send models what answers a deleted question; their runs are left to them.
if not lanes[1] then raise_format(2) end
redis.call('HSET', META, 'updated', now_ms())
set_reset()
trim_to(commit('d\n' .. one), lanes)
refresh(ttl_s)
return {'deleted', ''}
