-- Put a message into the queue, if a run is under way, or something else comes before it.
-- Returns {status, place: int, whether nobody is about to take it: 1 or 0}
local MAX_READERS = 3
is_lost()
local m = redis.call('HMGET', META, 'epoch', 'owner', 'tenant', 'format', 'state')
if not m[1] then
  return {'open', 0, 0}
end
if m[2] ~= expected_owner or (m[3] or '') ~= expected_tenant then
  return {'denied', 0, 0}
end
if is_newer(m[4]) then
  return {'newer', 0, 0}
end
local ids, now, busy = ids_of('queue'), now_ms(), m[5] and m[5] ~= 'ended'
local _, place = without(ids, entry)
if place then
  local _, its_hash = header_of_entry(entry)
  return {its_hash == hash and 'queued' or 'conflict', place, 0}
end
if fact('s|' .. entry) ~= '' or fact('o|' .. entry):find('\ndelivered ', 1, true) then
  return {'conflict', 0, 0} -- a run has it, or is to have it
end
local stored = redis.call('HGET', MESSAGES, entry .. '|')
if request_key ~= '' and redis.call('HEXISTS', REQUESTS, request_key) == 1
  or (m[5] == 'stopping' or m[5] == 'waiting') and #ids == 0 then
  return {'open', 0, 0}
end
if stored then
  return {busy and stored:match('\n(.-)\n') ~= hash and 'conflict' or 'open', 0, 0}
end
local idle = not busy and fact('taken') == ''
if idle and not waiting_for(now) and #ids == 0 then
  return {'open', 0, 0}
end
local bytes, readers = tonumber(size), 0
for _, id in ipairs(ids) do
  local _, _, its_size, its_reader, _, _, its_by = header_of_entry(id)
  bytes = bytes + its_size
  if its_reader == '1' and its_by == by then readers = readers + 1 end
end
local steers = ids_of('steers') -- they may yet come to the queue
for _, id in ipairs(steers) do bytes = bytes + fact('s|' .. id .. '|'):len() end
if #ids + #steers >= MAX_ENTRIES or bytes > tonumber(max_bytes) then
  return {'full', 0, 0}
end
if reader == '1' and readers >= MAX_READERS then
  return {'readers', 0, 0}
end
ids[#ids + 1] = entry
keep_ids('unsent', (without(ids_of('unsent'), entry)))
keep_ids('queue', ids)
if idle or m[5] == 'stopping' then end_pause() end
put_entry(entry, content, 1, hash, size, reader, request_key, now, by)
commit_queue(entry)
refresh(ttl_s)
return {'queued', #ids, idle and not waiting_for(now) and 1 or 0}
