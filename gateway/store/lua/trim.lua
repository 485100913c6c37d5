-- Trim what is older than the reconnect window, but nothing of a run under way.
-- Returns how many records went, or `newer`
local m = redis.call('HMGET', META, 'state', 'opened', 'format')
if is_newer(m[3]) then
  return 'newer'
end
local before = now_ms() - window_ms
if m[1] and m[1] ~= 'ended' and tonumber(m[2]:match('%d+')) <= before then
  before = m[2]
end
return redis.call('XTRIM', LOG, 'MINID', '=', before)
