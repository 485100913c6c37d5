-- Prepended to the scripts that give a message to the main run, after steers.lua.

-- Why the main run cannot have it; nil: it can. Its words are the AI SDK's.
local function refusal()
  local m = redis.call('HMGET', META, 'run', 'state', 'sender', 'fence')
  local is_theirs = may_any == '1' or m[3] == (m[1] or '') .. '\n' .. sender
  if not m[2] or m[2] == 'ended' or expected_run ~= '' and expected_run ~= m[1] then
    return 'finished'
  end
  if m[2] == 'stopping' then
    return 'aborted'
  end
  local is_read = unsupported ~= '1' or fact('reader') == m[1] .. '\n' .. m[4]
  if m[2] ~= 'open' or not is_read or not is_theirs then
    return 'unsupported' -- also a turn of another person: theirs alone
  end
end

-- Let a message wait until the main run takes it up.
local function keep_steer(id, its_hash, its_size, key, at, back, its_by, its_content)
  local its_run, ids = fact('run'), ids_of('steers')
  put_header(id, its_run, '', its_hash, its_size, key, at, back, its_by)
  redis.call('HSET', META, 's|' .. id .. '|', its_content)
  ids[#ids + 1] = id
  keep_ids('steers', ids)
  commit(table.concat({'st', its_run, id, '', '{"id":"' .. id .. '","message":' ..
    its_content:match('\n(.*)') .. ',"by":' .. its_by .. ',"at":' .. at .. ',"version":1}'}, '\n'))
  return its_run
end
