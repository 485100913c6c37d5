-- Give a message to the main run under way. One that it cannot have goes to the front of the queue,
-- or back to its sender.
-- Returns {status, the run or '', the outcome or '', whether its turn may have come: 1 or 0}
is_lost()
local m = redis.call('HMGET', META, 'epoch', 'owner', 'tenant', 'format', 'state')
if not m[1] then
  return {'idle', '', '', 0}
end
if m[2] ~= expected_owner or (m[3] or '') ~= expected_tenant then
  return {'denied', '', '', 0}
end
if is_newer(m[4]) then
  return {'newer', '', '', 0}
end
local function as_before(its_hash, status, its_run, outcome)
  return its_hash == hash and {status, its_run, outcome, 0} or {'conflict', '', '', 0}
end
local known_run, known_hash, known = fact('o|' .. entry):match('(.-)\n(.-)\n(.*)')
if known then
  return as_before(known_hash, 'decided', known_run, known)
end
local its_run, _, its_hash = header_of_steer(entry)
if its_run then
  return as_before(its_hash, 'pending', its_run, '')
end
local ids, place = without(ids_of('queue'), entry)
if place then
  local _, queued_hash = header_of_entry(entry)
  return as_before(queued_hash, 'queued', '', '')
end
if redis.call('HEXISTS', MESSAGES, entry .. '|') == 1
  or request_key ~= '' and redis.call('HEXISTS', REQUESTS, request_key) == 1 then
  return {'stored', '', '', 0}
end
local busy, why = m[5] and m[5] ~= 'ended', refusal()
if not busy and is_send == '1' then
  return {'idle', '', '', 0}
end
local bytes, waiting = tonumber(size), ids_of('steers')
for _, id in ipairs(ids) do bytes = bytes + select(3, header_of_entry(id)) end
for _, id in ipairs(waiting) do bytes = bytes + select(4, header_of_steer(id)) end
if #ids + #waiting >= MAX_ENTRIES or bytes > tonumber(max_bytes) then
  return {'full', '', '', 0}
end
its_run = keep_steer(entry, hash, size, request_key, now_ms(), back, by, content)
if why then
  give_back(why, '', entry, true)
end
refresh(ttl_s)
return {why and 'decided' or 'pending', its_run, why and 'not-delivered ' .. why or '',
  why and not busy and 1 or 0}
