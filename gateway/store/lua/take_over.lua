-- Raise the fence of a run whose lease has expired; or, by force, of any that is under way.
-- ARGV: 1 run  2 lease: ms  3 ttl: s  4 force: 1 or 0
-- Returns {kept run, fence: int, next: int}, or if it is not ours to take: for how many ms
-- its lease still runs, nil if it has ended or is gone, or `newer`
local m = redis.call('HMGET', KEYS[1], 'run', 'state', 'lease', 'next', 'format')
if is_newer(m[5]) then
  return 'newer'
end
local now = now_ms()
if m[1] ~= ARGV[1] or m[2] == 'ended' then
  return nil
end
if ARGV[4] == '0' and tonumber(m[3]) > now then
  return m[3] - now
end
local fence = redis.call('HINCRBY', KEYS[1], 'fence', 1)
redis.call('HSET', KEYS[1], 'lease', now + ARGV[2])
refresh(ARGV[3])
return {redis.call('HGET', KEYS[4], ARGV[1]), fence, tonumber(m[4])}
