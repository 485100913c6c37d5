-- Give a queued message to the main run under way. One that it cannot have keeps its place.
-- Returns {status, the run or '', why the run cannot have it, or ''}
is_lost() -- and then it is gone
local m = redis.call('HMGET', META, 'epoch', 'format', 'run')
if not m[1] then
  return {'absent', '', ''}
end
if is_newer(m[2]) then
  return {'newer', '', ''}
end
local _, place = without(ids_of('queue'), entry)
if not place then
  local stored = redis.call('HGET', MESSAGES, entry .. '|')
  local its_run = header_of_steer(entry)
  if its_run then
    return {'pending', its_run, ''}
  end
  return {stored and 'taken' or 'absent', stored and stored:match('\n.-\n([^\n]*)') or '', ''}
end
if fact('taken'):match('(.-)\n') == entry then
  return {'taken', '', ''}
end
local why = refusal()
if why then
  return {'refused', m[3] or '', why}
end
local _, its_hash, its_size, _, key, at, by = header_of_entry(entry)
local its_content = fact('q|' .. entry .. '|')
drop(entry)
redis.call('HDEL', META, 'o|' .. entry) -- of an earlier attempt
commit_queue()
keep_steer(entry, its_hash, its_size, key, at, '', by, its_content)
refresh(ttl_s)
return {'pending', m[3], ''}
