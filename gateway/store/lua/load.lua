-- Read a session: its facts, its newest run, and the messages from the first to the head.
-- KEYS: meta log feed runs msg
-- Returns {facts, kept run, header and JSON of each message, newest first, after its id,
--   the ids of all other messages, whether the run's lease has expired: 1 or 0}, or nil if it
--   does not exist
local facts = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'title', 'created', 'updated',
  'offset', 'head', 'run', 'state', 'next', 'format', 'lease', 'tenant')
if not facts[1] then
  return nil
end
local path, seen, id = {}, {}, facts[7] or ''
while id ~= '' and not seen[id] do
  seen[id] = true
  local message = redis.call('HMGET', KEYS[5], id .. '|', id)
  if not message[1] then
    break
  end
  path[#path + 1] = id
  path[#path + 1] = message[1]
  path[#path + 1] = message[2]
  id = message[1]:match('(.-)\n')
end
local others = {}
for _, field in ipairs(redis.call('HKEYS', KEYS[5])) do
  if not (field:find('|', 1, true) or seen[field]) then
    others[#others + 1] = field
  end
end
-- A run in a state of a version to come is not ours to judge, and no orphan.
local produced = facts[9] == 'open' or facts[9] == 'stopping'
local expired = produced and tonumber(facts[12]) <= now_ms()
return {facts, redis.call('HGET', KEYS[4], facts[8] or ''), path, others, expired and 1 or 0}
