-- Raise the fence of a run whose lease or wait has ended; or, by force, of any run with a producer;
-- or look. The caller names the ended lease by its mark: a later lease has another. The clock
-- decides about waits, which no gateway watches, and not about leases.
-- Returns {'taken', kept run, fence: int, next: int}; {'held', the lease's mark, its end: ms, its term:
-- ms or '', the clock: ms} or {'waiting', ms left} if the caller may not take it; {'gone'}
-- if it has ended or is gone; {'fenced'} if a later attempt at its job has claimed it; {'newer'}
is_lost() -- and then it is gone
if is_newer(redis.call('HGET', META, 'format')) then
  return {'newer'}
end
local now, lane = now_ms(), lane_of(run)
local m = lane and get(lane, 'state', 'lease', 'next', 'term', 'until', 'renewals')
if not m or m[1] == 'ended' then
  return {'gone'}
end
local waits = m[1] == 'waiting'
if waits then
  local left = (tonumber(m[5]) or now) - now
  if is_before_jump(left, m[4]) then
    left = tonumber(m[4])
    set_wait(lane, left)
  end
  if how ~= 'take' or left > 0 then -- by force, it is claimed, not taken
    return {'waiting', math.max(left, 0)}
  end
else
  -- A run that was stopped while it waited has no lease, and is free.
  local lease, known = m[2] or '', m[1] == 'open' or m[1] == 'stopping'
  local mark = lease .. ' ' .. (m[6] or '')
  local free = how == 'take' and known and (lease == '' or mark == ended_mark)
  if how ~= 'force' and not free then
    return {'held', mark, lease, lease ~= '' and m[4] or '', now}
  end
end
if how == 'force' and is_overtaken(lane, run) then
  return {'fenced'}
end
local fence = redis.call('HINCRBY', lane.key, lane.at .. 'fence', 1)
if waits then set_wait(lane, lease_ms) else set_lease(lane, lease_ms) end
set(lane, 'claimant', '')
note_attempt(lane)
refresh(ttl_s)
return {'taken', redis.call('HGET', RUNS, run), fence, tonumber(m[3])}
