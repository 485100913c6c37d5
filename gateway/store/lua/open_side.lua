-- Open a run beside the main one, under the message that its parent run answers.
-- Returns {status, kept run, epoch, offset}
local MAX_SIDE_RUNS = 8
is_lost()
local m = redis.call('HMGET', META, 'epoch', 'owner', 'offset', 'tenant', 'format')
local now = now_ms()

if m[1] and (m[2] ~= expected_owner or (m[4] or '') ~= expected_tenant) then
  return {'denied', '', m[1], m[3]}
end
if is_newer(m[5]) then
  return {'newer', '', m[1], m[3]}
end
local known = request_key ~= '' and redis.call('HGET', REQUESTS, request_key)
if known then
  return found('known', known, now)
end
if not m[1] or redis.call('HEXISTS', MESSAGES, answers .. '|') == 0
  or expected_offset ~= '' and expected_offset ~= m[3] then
  return {'stale', '', m[1], m[3]}
end
local above = parent ~= '' and lane_of(parent)
local its_state = above and get(above, 'state')[1]
if parent ~= '' and its_state ~= 'open' and its_state ~= 'waiting' then
  return {'parent_ended', '', m[1], m[3]} -- also one that is stopping: a stop of all is one of this
end
if message ~= '' and redis.call('HEXISTS', MESSAGES, message .. '|') == 1 then
  return {'message_known', '', m[1], m[3]}
end
if #side_lanes() >= MAX_SIDE_RUNS then
  return {'full', '', m[1], m[3]}
end
-- Older gateways would trim what it says, and leave its lane behind when they erase the session.
raise_format(3)
local lane = side_lane(run)
redis.call('HSET', META, 'side', (redis.call('HGET', META, 'side') or '') .. run .. '\n')
begin_run(lane, now)
set(lane, 'parent', parent)
note_attempt(lane)
return commit_opened(lane, {writes}, now)
