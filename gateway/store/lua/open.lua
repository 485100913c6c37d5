-- Accept a message, open the main run; see SessionStore.open_run for the order of decisions.
-- Returns {status, kept run, epoch, offset}
is_lost()
local m = redis.call('HMGET', META, 'epoch', 'owner', 'run', 'state', 'offset', 'tenant', 'format')
local now, busy = now_ms(), m[4] and m[4] ~= 'ended'

if m[1] and (m[2] ~= expected_owner or (m[6] or '') ~= expected_tenant) then
  return {'denied', '', m[1], m[5]}
end
if is_newer(m[7]) then
  return {'newer', '', m[1], m[5]}
end
local known = request_key ~= '' and redis.call('HGET', REQUESTS, request_key)
if known and known ~= after then
  return found('known', known, now)
end
if known and is_overtaken(main_lane(), after) then
  return {'fenced', '', m[1], m[5]}
end
local header = is_user_message == '1' and redis.call('HGET', MESSAGES, message .. '|') or ''
local hash, answered_by = header:match('\n(.-)\n([^\n]*)')
if hash == content_hash then
  local kept = redis.call('HGET', RUNS, answered_by) or ''
  if (busy and answered_by == m[3]) or kept:find('\nr\nended\nfinished\n', 1, true) then
    return found('known', answered_by, now)
  end
end
if busy then
  return found('active', m[3], now)
end
local next_entry = fact('taken'):match('(.-)\n') or ''
if next_entry ~= entry then -- its turn is over, or it is another's
  return {entry == '' and 'taken' or 'withdrawn', '', m[1], m[5]}
end
if expected_offset ~= '' and expected_offset ~= (m[5] or '0-0') then
  return {'stale', '', m[1], m[5]}
end
if not m[1] then
  -- First: a full Redis refuses it; after a DEL it would let all of this script through.
  redis.call('HSET', META, 'epoch', new_epoch, 'owner', expected_owner, 'created', now,
    'offset', '0-0', 'tenant', expected_tenant, 'format', 1)
  redis.call('DEL', LOG, RUNS, SIDE, MESSAGES, REQUESTS) -- a stop may be there before the session
end
redis.call('HSET', META, 'run', run, 'head', answers)
if earlier ~= '' then put_version(message, earlier, earlier_json) end
local lane = main_lane()
set(lane, 'sender', run .. '\n' .. sender)
begin_run(lane, now)
note_attempt(lane)
note_title(title)
note_answer(answers, run)
return commit_opened(lane, {answers, writes}, now, queue_rule)
