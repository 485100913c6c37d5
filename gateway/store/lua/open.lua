-- Accept a message, open a run; see SessionStore.open_run for the order of decisions.
-- Returns {status, kept run, epoch, offset}
is_lost()
local m = redis.call('HMGET', META, 'epoch', 'owner', 'run', 'state', 'lease', 'offset', 'tenant',
  'format', 'term')
local now, busy = now_ms(), m[4] and m[4] ~= 'ended'
-- A run whose producer is dead is an orphan, however it was found.
local function found(status, its_run)
  local orphan = busy and its_run == m[3] and has_ended(m[5], m[9], now)
  return {orphan and 'orphan' or status, redis.call('HGET', RUNS, its_run), m[1], m[6]}
end

if m[1] and (m[2] ~= expected_owner or (m[7] or '') ~= expected_tenant) then
  return {'denied', '', m[1], m[6]}
end
if is_newer(m[8]) then return {'newer', '', m[1], m[6]} end
local known = request_key ~= '' and redis.call('HGET', REQUESTS, request_key)
if known then return found('known', known) end
local header = is_user_message == '1' and redis.call('HGET', MESSAGES, message .. '|') or ''
local hash, answered_by = header:match('\n(.-)\n(.*)')
if hash == content_hash then
  local kept = redis.call('HGET', RUNS, answered_by) or ''
  if (busy and answered_by == m[3]) or kept:find('\nr\nended\nfinished\n', 1, true) then
    return found('known', answered_by)
  end
end
if busy then return found('active', m[3]) end
if expected_offset ~= '' and expected_offset ~= (m[6] or '0-0') then
  return {'stale', '', m[1], m[6]}
end
if not m[1] then
  -- First: a full Redis refuses it; after a DEL it would let all of this script through.
  redis.call('HSET', META, 'epoch', new_epoch, 'owner', expected_owner, 'created', now,
    'offset', '0-0', 'tenant', expected_tenant, 'format', 1)
  redis.call('DEL', LOG, RUNS, MESSAGES, REQUESTS) -- a stop may be there before the session
end
redis.call('HSET', META, 'updated', now, 'head', answers, 'run', run, 'fence', 1,
  'state', 'open', 'next', 0, 'stop', '', 'outcome', '', 'opened', '',
  'started', now, 'ended', '', 'info', info, 'answers', answers, 'writes', writes,
  'facts', facts, 'point', '')
set_lease(lease_ms)
note_title(title)
note_answer(answers, run)
if message ~= '' then
  put_message(message, message_parent, message_hash, run, message_json)
end
if request_key ~= '' then
  redis.call('HSET', REQUESTS, request_key, run)
end
commit_run()
local stops = {answers, writes, '\n' .. request_key}
local by = take_tombstone(stops, now, expected_tenant, expected_owner)
if by then commit_stop(by) end
refresh(ttl_s)
m = redis.call('HMGET', META, 'epoch', 'offset')
return {'opened', redis.call('HGET', RUNS, run), m[1], m[2]}
