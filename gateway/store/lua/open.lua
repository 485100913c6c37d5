-- Accept a message, open a run; see SessionStore.open_run for the order of decisions.
-- ARGV: 1 expected owner  2 new epoch  3 title  4 ttl: s  5 lease: ms  6 run  7 its info: JSON
--   8 the message that it answers  9 the message that it writes  10 request key  11 content hash
--   12 a message to put ('' for none)  13 its parent  14 its hash  15 its JSON  16 user: 1 or 0
--   17 the offset that the log must be at ('' for any)  18 facts that no client is shown  19 tenant
-- Returns {status, kept run, epoch, offset}
is_lost()
local m = redis.call('HMGET', KEYS[1], 'epoch', 'owner', 'run', 'state', 'lease', 'offset', 'tenant',
  'format', 'term')
local now, busy = now_ms(), m[4] and m[4] ~= 'ended'
-- A run whose producer is dead is an orphan, however it was found.
local function found(status, run)
  local orphan = busy and run == m[3] and has_ended(m[5], m[9], now)
  return {orphan and 'orphan' or status, redis.call('HGET', KEYS[4], run), m[1], m[6]}
end

if m[1] and (m[2] ~= ARGV[1] or (m[7] or '') ~= ARGV[19]) then
  return {'denied', '', m[1], m[6]}
end
if is_newer(m[8]) then return {'newer', '', m[1], m[6]} end
local known = ARGV[10] ~= '' and redis.call('HGET', KEYS[6], ARGV[10])
if known then return found('known', known) end
local header = ARGV[16] == '1' and redis.call('HGET', KEYS[5], ARGV[12] .. '|') or ''
local hash, run = header:match('\n(.-)\n(.*)')
if hash == ARGV[11] then
  local kept = redis.call('HGET', KEYS[4], run) or ''
  if (busy and run == m[3]) or kept:find('\nr\nended\nfinished\n', 1, true) then
    return found('known', run)
  end
end
if busy then return found('active', m[3]) end
if ARGV[17] ~= '' and ARGV[17] ~= (m[6] or '0-0') then
  return {'stale', '', m[1], m[6]}
end
if not m[1] then
  -- First: a full Redis refuses it; after a DEL it would let all of this script through.
  redis.call('HSET', KEYS[1], 'epoch', ARGV[2], 'owner', ARGV[1], 'created', now, 'offset', '0-0',
    'tenant', ARGV[19], 'format', 1)
  redis.call('DEL', KEYS[2], unpack(KEYS, 4, 6)) -- a stop may be there before the session
end
redis.call('HSET', KEYS[1], 'updated', now, 'head', ARGV[8], 'run', ARGV[6], 'fence', 1,
  'state', 'open', 'next', 0, 'stop', '', 'outcome', '', 'opened', '',
  'started', now, 'ended', '', 'info', ARGV[7], 'answers', ARGV[8], 'writes', ARGV[9],
  'facts', ARGV[18], 'point', '')
set_lease(ARGV[5])
note_title(ARGV[3])
note_answer(ARGV[8], ARGV[6])
if ARGV[12] ~= '' then
  put_message(ARGV[12], ARGV[13], ARGV[14], ARGV[6], ARGV[15])
end
if ARGV[10] ~= '' then
  redis.call('HSET', KEYS[6], ARGV[10], ARGV[6])
end
commit_run()
local by = take_tombstone({ARGV[8], ARGV[9], '\n' .. ARGV[10]}, now, ARGV[19], ARGV[1])
if by then commit_stop(by) end
refresh(ARGV[4])
m = redis.call('HMGET', KEYS[1], 'epoch', 'offset')
return {'opened', redis.call('HGET', KEYS[4], ARGV[6]), m[1], m[2]}
