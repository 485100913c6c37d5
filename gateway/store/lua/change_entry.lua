-- Change one entry of the queue. how: edit; move; drop; fail: it cannot be answered, for a reason;
-- unread: the response that waited for its run is gone; answered: it has a run, opened elsewhere.
-- Returns {status, its version: int, the run that has it or ''}
is_lost() -- and then it is gone
if is_newer(redis.call('HGET', META, 'format')) then
  return {'newer', 0, ''}
end
local ids, place = without(ids_of('queue'), entry)
local stored = not place and redis.call('HGET', MESSAGES, entry .. '|')
if stored then
  return {'taken', 0, stored:match('\n.-\n([^\n]*)')}
end
if not place and how == 'drop' and drop(entry) then
  commit_queue()
  return {'changed', 0, ''}
end
if not place then
  return {'absent', 0, ''}
end
local by_gateway = how == 'fail' or how == 'unread' or how == 'answered'
if not by_gateway and fact('taken'):match('(.-)\n') == entry then
  return {'taken', 0, ''}
end
local version, its_hash, its_size, its_reader, key, at, by = header_of_entry(entry)
if if_version ~= '' and version ~= if_version then
  local is_done = how == 'edit' and its_hash == hash -- a request that comes twice
  return {is_done and 'changed' or 'version', tonumber(version), ''}
end
if how == 'drop' or how == 'answered' then
  drop(entry)
  commit_queue()
elseif how == 'fail' then
  set_aside(reason, entry)
  commit_queue()
elseif how == 'unread' then
  put_entry(entry, fact('q|' .. entry .. '|'), version, its_hash, its_size, '', key, at, by)
elseif how == 'edit' then
  local bytes = tonumber(size)
  for _, id in ipairs(ids) do
    local _, _, other = header_of_entry(id)
    bytes = bytes + other
  end
  if bytes > tonumber(max_bytes) then return {'full', tonumber(version), ''} end
  version = version + 1
  local facts = fact('q|' .. entry .. '|'):match('(.-)\n')
  put_entry(entry, facts .. '\n' .. message_json, version, hash, size, its_reader, key, at, by)
  commit_queue(entry)
else
  local _, at_place = without(ids, before)
  local first = fact('taken') ~= '' and 2 or 1 -- the entry that is taken stays in front
  table.insert(ids, math.max(first, at_place or #ids + 1), entry)
  keep_ids('queue', ids)
  commit_queue()
end
refresh(ttl_s)
return {'changed', tonumber(version), ''}
