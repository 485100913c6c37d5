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

local function header_of(id)
  return redis.call('HGET', MESSAGES, id .. '|') or ''
end
local function overwrite(id)
  redis.call('HSET', MESSAGES, id, '', id .. '|', '\n\n', id .. '||', 'deleted')
end
-- Hang a message where the one was that it followed.
local function hang(id, header, parent)
  redis.call('HSET', MESSAGES, id .. '|', parent .. header:match('\n.*'))
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
end
for _, id in ipairs(redis.call('HKEYS', MESSAGES)) do
  if id == one or one == '' and not id:find('|', 1, true) then
    overwrite(id)
  elseif not id:find('|', 1, true) and header_of(id):match('(.-)\n') == one then
    hang(id, header_of(id), parent)
  end
end
if one == '' or m[3] == one then redis.call('HSET', META, 'head', parent) end
if one == '' then
  drop_all()
  forget_steers()
end
if parent == '' then redis.call('HSET', META, 'title', '') end
-- Older gateways would send models what answers a deleted question; their runs are left to them.
if not lanes[1] then raise_format(2) end
-- It follows nothing: whoever reads on from before it begins again from the session's state.
redis.call('HSET', META, 'offset', '', 'updated', now_ms())
trim_to(commit('d\n' .. one), lanes)
refresh(ttl_s)
return {'deleted', ''}
