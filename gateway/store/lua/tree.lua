-- Prepended to the scripts that change a session's tree of messages, after common.lua.

local function header_of(id)
  return redis.call('HGET', MESSAGES, id .. '|') or ''
end
local function children_of(parent)
  local found = {}
  for _, id in ipairs(redis.call('HKEYS', MESSAGES)) do
    if not id:find('|', 1, true) and header_of(id):match('(.-)\n') == parent then
      found[#found + 1] = id
    end
  end
  return found
end
local function hang(id, parent)
  redis.call('HSET', MESSAGES, id .. '|', parent .. header_of(id):match('\n.*'))
end

-- The next record follows nothing: whoever reads on from before it begins again from the session's
-- state, also a gateway that does not know the record.
local function set_reset()
  redis.call('HSET', META, 'offset', '')
end

-- Keep what a message says, before an edit, as another version of it. Its answers stay there.
local function put_version(id, kept, json)
  local mark = redis.call('HGET', MESSAGES, id .. '||') or ''
  for _, child in ipairs(children_of(id)) do hang(child, kept) end
  redis.call('HSET', MESSAGES, kept, json, kept .. '|', header_of(id), kept .. '||', mark)
  redis.call('HDEL', MESSAGES, id .. '||') -- the edit is the newest version
  set_reset()
end
