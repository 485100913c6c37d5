-- Write a run's terminal: last chunks, final message, ended record; then trim.
-- Returns {status, next: int, offset, stopped by, the session's owner, its tenant, the entry of the
-- queue that is taken for the next run, or ''}
is_lost() -- and then the run is gone
local owner, tenant, format = unpack(redis.call('HMGET', META, 'owner', 'tenant', 'format'), 1, 3)
if is_newer(format) then
  return {'newer', 0, '', ''}
end
local lane = lane_of(run)
local m = lane and get(lane, 'fence', 'state', 'next', 'stop', 'opened')
if not lane or m[2] == 'ended' then
  local kept = redis.call('HGET', RUNS, run)
  if not kept then
    return {'gone', 0, '', ''}
  end
  local its_fence, after, _, _, _, its_outcome, by =
    kept:match('(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n')
  local same = its_fence == fence and its_outcome == outcome
  return {same and 'duplicate' or 'fenced', tonumber(after), '', by, owner, tenant or '',
    fact('taken'):match('(.-)\n') or ''}
end
if m[1] ~= fence then
  return {'fenced', 0, '', ''}
end
local expected, after = tonumber(m[3]), first + count
if m[3] ~= first and after > expected then
  return {'gap', expected, '', m[4]}
end
if after > expected then
  commit(table.concat({'c', run, first, count, level, payload}, '\n'))
  set(lane, 'next', after)
end
if message ~= '' then
  put_message(lane, message, message_parent, message_hash, message_json)
end
local now = now_ms()
set(lane, 'state', 'ended', 'outcome', outcome, 'ended', now)
redis.call('HSET', META, 'updated', now)
redis.call('HDEL', lane.key, lane.at .. 'facts', lane.at .. 'point')
local id = commit_run(lane)
-- The log's ids are times: what came before the runs under way, and before the reconnect window.
local lanes = open_lanes()
if lane.key == META then lanes[#lanes + 1] = lane end -- this run's own stay too
trim_to(trim_before_ms, lanes)
if lane.key == SIDE then leave_lane(lane) end
if lane.key == META and waits_for ~= '' then
  redis.call('HSET', META, 'waits', run .. '\n' .. waits_for .. '\n' .. now + wait_ms)
end
if lane.key == META then give_back(undelivered, '') end
local next_entry = lane.key == META and settle(lane, now) or ''
refresh(ttl_s)
return {'appended', math.max(after, expected), id, m[4], owner, tenant or '', next_entry}
