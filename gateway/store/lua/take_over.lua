-- Raise the fence of a run whose lease has ended; or, by force, of any that is under way; or look.
-- The caller says by its mark which lease has ended: one that was given since has another. Clocks
-- decide nothing here.
-- Returns {`taken`, kept run, fence: int, next: int}; or if it is not the caller's to take:
-- {`held`, the lease's mark, its end: ms, its term: ms or '', the clock: ms}, nil if the run has
-- ended or is gone, or `newer`
is_lost() -- and then it is gone
local m = redis.call('HMGET', META, 'run', 'state', 'lease', 'next', 'format', 'term', 'renewals')
if is_newer(m[5]) then
  return 'newer'
end
if m[1] ~= run or m[2] == 'ended' then
  return nil
end
local mark = (m[3] or '') .. ' ' .. (m[7] or '')
if force == '0' and mark ~= ended_mark then
  return {'held', mark, m[3] or 0, m[6] or '', now_ms()}
end
local fence = redis.call('HINCRBY', META, 'fence', 1)
set_lease(lease_ms)
refresh(ttl_s)
return {'taken', redis.call('HGET', RUNS, run), fence, tonumber(m[4])}
