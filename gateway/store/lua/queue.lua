-- Prepended to the scripts that touch a session's queue, after lanes.lua. All of it is in META, so
-- that a gateway that does not know of it erases it with the session:
--
--   queue    ids of the entries, in order, NL behind each
--   unsent   `ID reason` of those that will not be answered, oldest first, NL behind each
--   q|ID     an entry's header: `version NL hash NL size NL reader NL key NL at NL by`
--   q|ID|    `facts NL message JSON`
--   paused   why no entry is taken: stopped, failed or empty
--   taken    `ID NL deadline` of the first entry: its run is being opened
--   urgent   the entry that is sent now, whatever else holds
--   waits    `RUN NL kind NL until`: what the message of that run waits for
--   resumed  the run after whose stop somebody has ended the pause
--   settled  the newest run whose end was judged (turns.lua); cuts: how many were interrupted in a row
local MAX_ENTRIES = 32

local function fact(name) return redis.call('HGET', META, name) or '' end
local function ids_of(field)
  local ids = {}
  for line in fact(field):gmatch('(.-)\n') do ids[#ids + 1] = line end
  return ids
end
local function keep_ids(field, ids)
  redis.call('HSET', META, field, #ids > 0 and table.concat(ids, '\n') .. '\n' or '')
end
-- The others of a list, and where this one stands, if it does.
local function without(ids, id)
  local others, place = {}, nil
  for i, each in ipairs(ids) do
    if each:match('%S+') == id then place = i else others[#others + 1] = each end
  end
  return others, place
end
local function header_of_entry(id)
  return fact('q|' .. id):match('(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)')
end
local function put_entry(id, content, ...)
  redis.call('HSET', META, 'q|' .. id, table.concat({...}, '\n'), 'q|' .. id .. '|', content)
end
local function end_pause()
  redis.call('HDEL', META, 'paused')
  redis.call('HSET', META, 'resumed', fact('run'))
end
local function waiting_for(now)
  local its_run, kind, till = fact('waits'):match('(.-)\n(.-)\n(.*)')
  local left = (tonumber(till) or 0) - now
  if its_run == fact('run') and left > 0 then return kind, left end
end

-- Commit the queue as it is; with an entry, if it is new or was changed.
local function commit_queue(id)
  local entry = ''
  if id then
    local version, _, _, _, _, at, by = header_of_entry(id)
    entry = '{"id":"' .. id .. '","message":' .. fact('q|' .. id .. '|'):match('\n(.*)') ..
      ',"by":' .. by .. ',"at":' .. at .. ',"version":' .. version .. '}'
  end
  return commit(table.concat({'qu', fact('paused'), waiting_for(now_ms()) or '',
    table.concat(ids_of('queue'), ' '), table.concat(ids_of('unsent'), ','), entry}, '\n'))
end
