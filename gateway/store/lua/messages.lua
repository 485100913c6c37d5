-- Prepended to the scripts that open and close runs, after lanes.lua.

-- Add or replace a message; one of the main run is the head then. Versions of a message are in the
-- order of their first records.
local function put_message(lane, id, parent, hash, json)
  local is_side, header = lane.key == SIDE, parent .. '\n' .. hash .. '\n' .. lane.run
  redis.call('HSET', MESSAGES, id, json, id .. '|', is_side and header .. '\nside' or header)
  if not is_side then
    redis.call('HSET', META, 'head', id)
  end
  local kind = is_side and 'sm\n' or 'm\n'
  local offset = commit(kind .. id .. '\n' .. parent .. '\n' .. lane.run .. '\n' .. json)
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

-- Name the last run that answered a message. An answer, which has no hash, keeps the run that wrote it.
local function note_answer(id, run)
  local header = redis.call('HGET', MESSAGES, id .. '|')
  if header and not header:find('^[^\n]*\n\n') then
    local before, after = header:match('(.-\n.-\n)[^\n]*(.*)')
    redis.call('HSET', MESSAGES, id .. '|', before .. run .. after)
  end
end
