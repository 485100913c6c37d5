-- Give a waiting run a producer: the first claimant, who may ask again. Returns {'claimed', kept
-- run, fence: int, next: int}, {'gone'} if it cannot be claimed, or {'newer'}
is_lost() -- and then it is gone
if is_newer(redis.call('HGET', META, 'format')) then
  return {'newer'}
end
local lane = lane_of(run)
local m = lane and get(lane, 'state', 'claimant', 'fence', 'next')
if not m or m[1] == 'ended' or m[1] ~= 'waiting' and m[2] ~= claimant then
  return {'gone'}
end
local fence = tonumber(m[3])
if m[1] == 'waiting' then
  fence = fence + 1
  set(lane, 'state', 'open', 'fence', fence, 'claimant', claimant)
  set_lease(lane, lease_ms)
  commit_run(lane)
  refresh(ttl_s)
end
return {'claimed', redis.call('HGET', RUNS, run), fence, tonumber(m[4])}
