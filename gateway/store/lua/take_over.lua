-- Raise the fence of a run whose lease has expired; or, by force, of any that is under way.
-- ARGV: 1 run  2 lease: ms  3 ttl: s  4 force: 1 or 0
--   5, 6 the times between which the caller expects the clock: ms, '' for any
-- Returns {kept run, fence: int, next: int}, or if it is not ours to take: for how many ms
-- its lease still runs, nil if it has ended or is gone, `jumped` if the clock has, or `newer`
is_lost() -- and then it is gone
local m = redis.call('HMGET', KEYS[1], 'run', 'state', 'lease', 'next', 'format', 'term')
if is_newer(m[5]) then
  return 'newer'
end
local now = now_ms()
if m[1] ~= ARGV[1] or m[2] == 'ended' then
  return nil
end
if ARGV[4] == '0' then
  if ARGV[5] ~= '' and (now < tonumber(ARGV[5]) or now > tonumber(ARGV[6])) then
    return 'jumped'
  end
  if not has_ended(m[3], m[6], now) then
    return m[3] - now
  end
end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
set_lease(ARGV[2])
refresh(ARGV[3])
return {redis.call('HGET', KEYS[4], ARGV[1]), fence, tonumber(m[4])}
