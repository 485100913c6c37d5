-- Members of a hint whose time has come, or is near, oldest first; then those that are further ahead
-- than any is noted, which is so since the clock went back.
-- Returns {the clock: ms, members}
local now = now_ms()
local due = redis.call('ZRANGEBYSCORE', HINT, '-inf', now + early_ms, 'LIMIT', 0, limit)
if ahead_ms ~= '' and #due < tonumber(limit) then
  local ahead = redis.call('ZRANGEBYSCORE', HINT, '(' .. now + ahead_ms, '+inf',
    'LIMIT', 0, limit - #due)
  for _, member in ipairs(ahead) do
    due[#due + 1] = member
  end
end
return {now, due}
