-- Write a run's terminal: last chunks, final message, ended record; then trim.
-- Returns {status, next: int, offset, stopped by, the session's owner, its tenant}
is_lost() -- and then the run is gone
local m = redis.call('HMGET', META, 'run', 'fence', 'state', 'next', 'stop', 'opened', 'owner',
  'tenant', 'format')
if is_newer(m[9]) then
  return {'newer', 0, '', ''}
end
if m[1] ~= run or m[3] == 'ended' then
  local kept = redis.call('HGET', RUNS, run)
  if not kept then
    return {'gone', 0, '', ''}
  end
  local its_fence, after, _, _, _, its_outcome, by =
    kept:match('(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n')
  local same = its_fence == fence and its_outcome == outcome
  return {same and 'duplicate' or 'fenced', tonumber(after), '', by, m[7], m[8] or ''}
end
if m[2] ~= fence then
  return {'fenced', 0, '', ''}
end
local expected, after = tonumber(m[4]), first + count
if m[4] ~= first and after > expected then
  return {'gap', expected, '', m[5]}
end
if after > expected then
  commit(table.concat({'c', run, first, count, level, payload}, '\n'))
  redis.call('HSET', META, 'next', after)
end
if message ~= '' then
  put_message(message, message_parent, message_hash, run, message_json)
end
local now = now_ms()
redis.call('HSET', META, 'state', 'ended', 'outcome', outcome, 'ended', now, 'updated', now)
redis.call('HDEL', META, 'facts', 'point')
local id = commit_run()
-- The log's ids are times: what came before this run, and before the reconnect window.
local opened = tonumber(m[6]:match('%d+'))
redis.call('XTRIM', LOG, 'MINID', '=', opened <= tonumber(trim_before_ms) and m[6] or trim_before_ms)
refresh(ttl_s)
return {'appended', math.max(after, expected), id, m[5], m[7], m[8] or ''}
