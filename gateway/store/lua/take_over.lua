-- Raise the fence of a run whose lease has ended; or, by force, of any that is under way; or look.
-- ARGV: 1 run  2 lease: ms  3 ttl: s  4 force: 1 or 0
--   5 the mark of the lease that the caller holds to have ended, '' for none: one that was given
--     since has another. Clocks decide nothing here
-- Returns {`taken`, kept run, fence: int, next: int}; or if it is not the caller's to take:
-- {`held`, the lease's mark, its end: ms, its term: ms or '', the clock: ms}, nil if the run has
-- ended or is gone, or `newer`
is_lost() -- and then it is gone
local m = redis.call('HMGET', KEYS[1], 'run', 'state', 'lease', 'next', 'format', 'term',
  'renewals')
if is_newer(m[5]) then
  return 'newer'
end
if m[1] ~= ARGV[1] or m[2] == 'ended' then
  return nil
end
local mark = (m[3] or '') .. ' ' .. (m[7] or '')
if ARGV[4] == '0' and mark ~= ARGV[5] then
  return {'held', mark, m[3] or 0, m[6] or '', now_ms()}
end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
set_lease(ARGV[2])
refresh(ARGV[3])
return {'taken', redis.call('HGET', KEYS[4], ARGV[1]), fence, tonumber(m[4])}
