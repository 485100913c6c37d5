-- Prepended to open.lua and open_side.lua, after all else; it has their arguments.

-- Begin the run in its lane: with a producer, or waiting for one.
local function begin_run(lane, now)
  local waits = wait_ms ~= ''
  redis.call('HSET', META, 'updated', now)
  set(lane, 'fence', 1, 'state', waits and 'waiting' or 'open', 'next', 0, 'stop', '',
    'outcome', '', 'opened', '', 'started', now, 'ended', '', 'info', info, 'answers', answers,
    'writes', writes, 'facts', facts, 'point', '', 'claimant', '')
  if waits then
    raise_format(3)
    set_wait(lane, wait_ms)
  else
    set_lease(lane, lease_ms)
  end
end

-- Store its message, its request and its record; stop it if a stop came first.
-- queue_rule: of a main run, see note_opened (leaving.lua)
local function commit_opened(lane, stops, now, queue_rule)
  if message ~= '' then
    put_message(lane, message, message_parent, message_hash, message_json)
  end
  if request_key ~= '' then
    redis.call('HSET', REQUESTS, request_key, run)
    stops[#stops + 1] = '\n' .. request_key
  end
  commit_run(lane)
  if queue_rule then
    give_back('finished', run) -- what an older gateway has left, which closed the run before
    note_opened(message, queue_rule)
  end
  local by = take_tombstone(stops, now, expected_tenant, expected_owner)
  if by then
    commit_stop(lane, by)
    wait_no_longer(lane)
  end
  refresh(ttl_s)
  local m = redis.call('HMGET', META, 'epoch', 'offset')
  return {'opened', redis.call('HGET', RUNS, run), m[1], m[2]}
end

-- A run that is there already. One whose producer is dead is an orphan, however it was found.
local function found(status, its_run, now)
  local lane, m = lane_of(its_run), redis.call('HMGET', META, 'epoch', 'offset')
  local orphan = lane and is_due(lane, now)
  return {orphan and 'orphan' or status, redis.call('HGET', RUNS, its_run), m[1], m[2]}
end
