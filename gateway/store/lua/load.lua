-- Read a session: its facts, its newest run, and its messages from the first to one of them.
-- Returns {facts, kept run, {id, header, mark, JSON} of each message of the path, newest first,
--   {id, header, mark} of all others, whether the run's lease has expired: 1 or 0, or 2 if another
--   attempt at it is awaited}; nil if the session does not exist, or `lost`; headers and marks are in
--   keys.py. Then the queue: why it pauses, what it waits for, and if asked {id, reason or '',
--   header, content} of each entry; and {id, header, content} of each steer that waits
if is_lost() then
  return 'lost'
end
local facts = redis.call('HMGET', META, 'epoch', 'owner', 'title', 'created', 'updated',
  'offset', 'head', 'run', 'state', 'next', 'format', 'tenant', 'queue', 'steers',
  'handoff', 'notes')
if not facts[1] then
  return nil
end
local path, seen, id = {}, {}, leaf ~= '' and leaf or facts[7] or ''
while id ~= '' and not seen[id] do
  seen[id] = true
  local message = redis.call('HMGET', MESSAGES, id .. '|', id .. '||', id)
  if not message[1] or message[2] == 'deleted' then
    break
  end
  for _, value in ipairs({id, message[1], message[2] or '', message[3]}) do
    path[#path + 1] = value
  end
  id = message[1]:match('(.-)\n')
end
local others = {}
for _, field in ipairs(redis.call('HKEYS', MESSAGES)) do
  if not (field:find('|', 1, true) or seen[field]) then
    local message = redis.call('HMGET', MESSAGES, field .. '|', field .. '||')
    for _, value in ipairs({field, message[1] or '\n\n', message[2] or ''}) do
      others[#others + 1] = value
    end
  end
end
local now, beside = now_ms(), {}
for i, lane in ipairs(side_lanes()) do
  local due = is_due(lane, now) and 1 or 0
  beside[i] = {redis.call('HGET', RUNS, lane.run), tonumber(get(lane, 'next')[1]), due}
end
local expired = is_due(main_lane(), now) and 1 or is_silent(main_lane(), now) and 2 or 0
local entries = {fact('paused'), waiting_for(now) or ''}
for _, field in ipairs(with_queue == '1' and {'queue', 'unsent'} or {}) do
  for _, line in ipairs(ids_of(field)) do
    local entry, reason = line:match('(%S+) ?(.*)')
    for _, value in ipairs({entry, reason, fact('q|' .. entry), fact('q|' .. entry .. '|')}) do
      entries[#entries + 1] = value
    end
  end
end
local steers = {}
for _, id in ipairs(with_queue == '1' and ids_of('steers') or {}) do
  for _, value in ipairs({id, fact('s|' .. id), fact('s|' .. id .. '|')}) do
    steers[#steers + 1] = value
  end
end
return {facts, redis.call('HGET', RUNS, facts[8] or ''), path, others, expired, beside, entries,
  steers}
