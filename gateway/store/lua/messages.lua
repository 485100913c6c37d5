-- Prepended to open.lua and close.lua, after common.lua.

-- Add or replace a message, and make it the head.
local function put_message(id, parent, hash, run, json)
  redis.call('HSET', KEYS[5], id, json, id .. '|', parent .. '\n' .. hash .. '\n' .. run)
  redis.call('HSET', KEYS[1], 'head', id)
  return commit('m\n' .. id .. '\n' .. parent .. '\n' .. run .. '\n' .. json)
end

-- Name the last run that answered a message.
local function note_answer(id, run)
  local header = redis.call('HGET', KEYS[5], id .. '|')
  if header then
    redis.call('HSET', KEYS[5], id .. '|', header:match('.-\n.-\n') .. run)
  end
end

-- Consume the tombstone of a message, or of a send (NL, key): who stopped it before it came.
local function take_tombstone(id, now)
  local deadline, by = (redis.call('HGET', KEYS[7], id) or ''):match('(.-)\n(.*)')
  redis.call('HDEL', KEYS[7], id)
  return deadline and tonumber(deadline) > now and by or nil
end
