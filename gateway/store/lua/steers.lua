-- Prepended to the scripts that touch steers, after leaving.lua. A steer is a message for the main
-- run under way. All of it is in META, as the queue is:
--
--   steers   ids of those that nobody has taken up yet, oldest first, NL behind each
--   s|ID     such a steer's header: `run NL step NL hash NL size NL key NL at NL back NL by`; step:
--            the one that it was given for, or empty; back: 1 if its sender wants it back
--   s|ID|    `facts NL message JSON`, as of an entry of the queue
--   o|ID     its outcome: `run NL hash NL outcome`, the outcome `delivered STEP` or
--            `not-delivered REASON`
--   reader   `run NL fence` of a pushed run whose worker reads steers: a later claim is not meant

local function header_of_steer(id)
  return fact('s|' .. id):match('(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)')
end
local function put_header(id, ...)
  redis.call('HSET', META, 's|' .. id, table.concat({...}, '\n'))
end

local function forget_steers()
  for _, id in ipairs(ids_of('steers')) do redis.call('HDEL', META, 's|' .. id, 's|' .. id .. '|') end
  keep_ids('steers', {})
end

-- Record what became of a steer, once. Its content is forgotten here.
local function decide(id, outcome)
  local its_run, _, its_hash = header_of_steer(id)
  keep_ids('steers', (without(ids_of('steers'), id)))
  redis.call('HDEL', META, 's|' .. id, 's|' .. id .. '|')
  redis.call('HSET', META, 'o|' .. id, its_run .. '\n' .. its_hash .. '\n' .. outcome)
  commit(table.concat({'st', its_run, id, outcome, ''}, '\n'))
end

-- Whether a run's message has a steer: it was taken up, and its process died before it said so.
local function is_taken_up(id, its_run)
  local kept = redis.call('HGET', RUNS, its_run) or ''
  local shown = redis.call('HGET', MESSAGES, kept:match('"messageId":"(.-)"') or '') or ''
  return shown:find('"type":"steering-message","id":"' .. id .. '"', 1, true) ~= nil
end
