-- Write a run's terminal: last chunks, final message, ended record; then trim.
-- ARGV: 1 run  2 fence  3 first: int  4 count: int >= 0  5 level: int  6 payload: bytes
--   7 outcome  8 trim before: ms  9 ttl: s  10 message: id or ''  11 parent  12 hash  13 JSON
-- Returns {status, next: int, offset, stopped by, the session's owner, its tenant}
is_lost() -- and then the run is gone
local m = redis.call('HMGET', KEYS[1], 'run', 'fence', 'state', 'next', 'stop', 'opened', 'owner',
  'tenant', 'format')
if is_newer(m[9]) then
  return {'newer', 0, '', ''}
end
if m[1] ~= ARGV[1] or m[3] == 'ended' then
  local kept = redis.call('HGET', KEYS[4], ARGV[1])
  if not kept then
    return {'gone', 0, '', ''}
  end
  local fence, after, _, _, _, outcome, by =
    kept:match('(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n')
  local same = fence == ARGV[2] and outcome == ARGV[7]
  return {same and 'duplicate' or 'fenced', tonumber(after), '', by, m[7], m[8] or ''}
end
if m[2] ~= ARGV[2] then
  return {'fenced', 0, '', ''}
end
local expected, after = tonumber(m[4]), ARGV[3] + ARGV[4]
if m[4] ~= ARGV[3] and after > expected then
  return {'gap', expected, '', m[5]}
end
if after > expected then
  commit('c\n' .. table.concat(ARGV, '\n', 1, 1) .. '\n' .. table.concat(ARGV, '\n', 3, 6))
  redis.call('HSET', KEYS[1], 'next', after)
end
if ARGV[10] ~= '' then
  put_message(ARGV[10], ARGV[11], ARGV[12], ARGV[1], ARGV[13])
end
local now = now_ms()
redis.call('HSET', KEYS[1], 'state', 'ended', 'outcome', ARGV[7], 'ended', now, 'updated', now)
redis.call('HDEL', KEYS[1], 'facts', 'point')
local id = commit_run()
-- The log's ids are times: what came before this run, and before the reconnect window.
local opened = tonumber(m[6]:match('%d+'))
redis.call('XTRIM', KEYS[2], 'MINID', '=', opened <= tonumber(ARGV[8]) and m[6] or ARGV[8])
refresh(ARGV[9])
return {'appended', math.max(after, expected), id, m[5], m[7], m[8] or ''}
