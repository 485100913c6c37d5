-- Let a run wait: it has no producer, lease or process until somebody claims it, or its time ends.
-- Returns 'waiting', 'stopping' (a stop came first: close it), 'fenced', 'gone' or 'newer'
if is_lost() then
  return 'gone'
end
if is_newer(redis.call('HGET', META, 'format')) then
  return 'newer'
end
local lane = lane_of(run)
local m = lane and get(lane, 'fence', 'state')
if not m then
  return redis.call('HEXISTS', RUNS, run) == 1 and 'fenced' or 'gone'
end
if m[2] == 'waiting' and tonumber(m[1]) == fence + 1 then
  return 'waiting'
end
if m[1] ~= fence or m[2] == 'ended' then
  return 'fenced'
end
if m[2] == 'stopping' then
  return 'stopping'
end
raise_format(3)
set(lane, 'state', 'waiting', 'fence', fence + 1, 'claimant', '') -- the last claimant loses it
set_wait(lane, wait_ms)
commit_run(lane)
refresh(ttl_s)
return 'waiting'
