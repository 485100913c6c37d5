-- Prepended to open.lua and close.lua, after common.lua.

-- Add or replace a message, and make it the head. Versions of a message are in the order of
-- their first records.
local function put_message(id, parent, hash, run, json)
  redis.call('HSET', MESSAGES, id, json, id .. '|', parent .. '\n' .. hash .. '\n' .. run)
  redis.call('HSET', META, 'head', id)
  local offset = commit('m\n' .. id .. '\n' .. parent .. '\n' .. run .. '\n' .. json)
  if (redis.call('HGET', MESSAGES, id .. '||') or 'deleted') == 'deleted' then
    redis.call('HSET', MESSAGES, id .. '||', offset)
  end
  return offset
end

-- Name a session that has no name: it is new, or the message was deleted that gave it one.
local function note_title(title)
  if (redis.call('HGET', META, 'title') or '') == '' then
    redis.call('HSET', META, 'title', title)
  end
end

-- Name the last run that answered a message.
local function note_answer(id, run)
  local header = redis.call('HGET', MESSAGES, id .. '|')
  if header then
    redis.call('HSET', MESSAGES, id .. '|', header:match('.-\n.-\n') .. run)
  end
end

-- One whose deadline is further away was left before the clock went back.
local MAX_TOMBSTONE_MS = 600000

-- Consume a tombstone of any of these (a message, or NL and the key of a send): who stopped it
-- before it came. One that was left before the session began counts if its reach covers it.
local function take_tombstone(ids, now, tenant, owner)
  if redis.call('EXISTS', STOPS) == 0 then
    return nil
  end
  for _, reach in ipairs({'', tenant .. '|' .. owner .. ' ', tenant .. '|* ', '* '}) do
    for _, id in ipairs(ids) do
      local deadline, by = (redis.call('HGET', STOPS, reach .. id) or ''):match('(.-)\n(.*)')
      redis.call('HDEL', STOPS, reach .. id)
      local left = (tonumber(deadline) or 0) - now
      if left > 0 and left <= MAX_TOMBSTONE_MS then
        return by
      end
    end
  end
end
