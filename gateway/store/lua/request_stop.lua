-- Record a stop for a run under way, for all of them, or for a send or a message that has none yet.
-- Returns {status, run, status, run, ...}: the main run's first, then those of side runs
is_lost() -- and then there is no session
local m = redis.call('HMGET', META, 'epoch', 'tenant', 'owner', 'format', 'run')
if m[1] and not covers(reach, m[2] or '', m[3]) then
  return {'nothing', ''} -- it has begun since it was looked for, and is another's
end
if is_newer(m[4]) then
  return {'newer', ''}
end
local wanted, tombstone = run, message
if run == '' and request_key ~= '' then
  -- A send that was accepted is its run; one that was not leaves its message alone.
  wanted = m[1] and redis.call('HGET', REQUESTS, request_key) or ''
  tombstone = '\n' .. request_key
end
-- A queued send is not stopped by itself: its stop is one of what comes before it.
local names_entry = m[1] and wanted == '' and is_queued(message, request_key)
-- Whether a run is meant. A side run answers what its parent run does: its own message names it.
local function is_meant(lane)
  if names_entry then
    return lane.key == META
  end
  if wanted ~= '' or request_key ~= '' and message == '' then
    return wanted == lane.run
  end
  local its = get(lane, 'answers', 'writes')
  return message == '' or message == its[2] or lane.key == META and message == its[1]
end
local stopped, meant = {}, {}
for _, lane in ipairs(m[1] and open_lanes() or {}) do -- a run before those that work for it
  local parent = get(lane, 'parent')[1]
  if is_meant(lane) or lane.key == SIDE and parent and meant[parent] then
    meant[lane.run] = true
    local state = get(lane, 'state')[1]
    if state == 'open' or state == 'waiting' then
      commit_stop(lane, by)
      wait_no_longer(lane)
    end
    stopped[#stopped + 1] = is_due(lane, now_ms()) and 'orphan' or 'stopping'
    stopped[#stopped + 1] = lane.run
  end
end
local pauses_queue = names_entry or (wanted == '' and tombstone == '') or stopped[2] == m[5]
if pauses == '1' and pauses_queue and fact('queue') ~= '' then
  pause('stopped')
  commit_queue()
end
if stopped[1] then
  return stopped
end
if wanted ~= '' or tombstone == '' or names_entry then
  return {'nothing', ''}
end
leave_tombstone(tombstone, by, tombstone_ms, m[1] and '' or reach .. ' ', m[1] and ttl_s)
return {'prevented', ''}
