-- Append a person's message to the path while the main run waits; the run answers it then.
-- Returns 'said' (now or before), 'conflict' (its id says something else), 'stale' (the run answers
-- another message), 'elsewhere' (no such run waits), 'denied' or 'newer'
if is_lost() then
  return 'elsewhere'
end
local m = redis.call('HMGET', META, 'owner', 'tenant', 'format')
if m[1] ~= expected_owner or (m[2] or '') ~= expected_tenant then
  return 'denied'
end
if is_newer(m[3]) then
  return 'newer'
end
local lane = main_lane()
if lane.run ~= run then
  return 'elsewhere'
end
local stored = redis.call('HGET', MESSAGES, message .. '|')
if stored then
  local hash, its_run = stored:match('\n(.-)\n([^\n]*)')
  return hash == message_hash and its_run == run and 'said' or 'conflict'
end
local its = get(lane, 'state', 'answers')
if its[1] ~= 'waiting' then
  return 'elsewhere'
end
if its[2] ~= message_parent then
  return 'stale'
end
set(lane, 'answers', message, 'info', info)
put_message(lane, message, message_parent, message_hash, message_json)
if request_key ~= '' then
  redis.call('HSET', REQUESTS, request_key, run)
end
commit_run(lane)
refresh(ttl_s)
return 'said'
