-- Read the log after a position, if nothing after it is missing.
-- Returns {epoch or nil, head or nil, recovered: 1 or 0, entries, a run whose lease or wait has
--   ended, or '', runs of which another attempt is awaited}, or `lost`
if is_lost() then
  return 'lost'
end
local m = redis.call('HMGET', META, 'epoch', 'offset')
local now, expired, silent = now_ms(), '', {}
for _, lane in ipairs(open_lanes()) do
  expired = expired == '' and is_due(lane, now) and lane.run or expired
  silent[#silent + 1] = is_silent(lane, now) and lane.run or nil
end
if m[1] ~= epoch then
  return {m[1], m[2], 0, {}, expired, silent}
end
if m[2] == offset then
  return {m[1], m[2], 1, {}, expired, silent}
end
-- pcall: an offset from outside may be no stream id at all.
local entries = redis.pcall('XRANGE', LOG, '(' .. offset, '+', 'COUNT', count)
if entries.err or not entries[1] or entries[1][2][2] ~= offset then
  return {m[1], m[2], 0, {}, expired, silent}
end
return {m[1], m[2], 1, entries, expired, silent}
