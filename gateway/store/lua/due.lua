-- Members of a hint whose time has come, or is near, oldest first; then those that are further ahead
-- than any is noted, which is so since the clock went back.
-- KEYS: 1 the hint
-- ARGV: 1 limit: int  2 how far ahead members are noted: ms, '' if that is not known
--   3 how long before its time a member is due: ms
-- Returns {the clock: ms, members}
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now + ARGV[3], 'LIMIT', 0, ARGV[1])
if ARGV[2] ~= '' and #due < tonumber(ARGV[1]) then
  local ahead = redis.call('ZRANGEBYSCORE', KEYS[1], '(' .. now + ARGV[2], '+inf',
    'LIMIT', 0, ARGV[1] - #due)
  for _, member in ipairs(ahead) do
    due[#due + 1] = member
  end
end
return {now, due}
