-- Read the members of a hint that are due, or nearly, oldest first; then members further ahead than
-- any hint is noted: the clock went back since. Returns {the clock: ms, members}
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
