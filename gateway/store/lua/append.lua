-- Append one batch of a run's chunks: idempotent by (run, fence, first).
-- KEYS: meta log feed runs
-- ARGV: 1 run  2 fence  3 first: int  4 count: int >= 1  5 level: int  6 payload: bytes
-- Returns {status, next: int, offset, stopped by}
local m = redis.call('HMGET', KEYS[1], 'run', 'fence', 'next', 'offset', 'stop', 'state', 'format')
if m[7] and tonumber(m[7]) > WRITE_FORMAT then -- is_newer (format.lua) would cost 4 % of an append
  return {'newer', 0, '', ''}
end
if m[1] ~= ARGV[1] then
  if m[1] and redis.call('HEXISTS', KEYS[4], ARGV[1]) == 1 then
    return {'fenced', 0, '', ''}
  end
  return {'gone', 0, '', ''}
end
if m[2] ~= ARGV[2] then
  return {'fenced', 0, '', ''}
end
local after = ARGV[3] + ARGV[4]
if m[3] ~= ARGV[3] or m[6] == 'ended' then
  local expected = tonumber(m[3])
  if after <= expected then
    return {'duplicate', expected, '', m[5]}
  end
  return {m[6] == 'ended' and 'fenced' or 'gap', expected, '', m[5]}
end
local record = 'c\n' .. ARGV[1] .. '\n' .. ARGV[3] .. '\n' .. ARGV[4] .. '\n' .. ARGV[5]
  .. '\n' .. ARGV[6]
local id = redis.call('XADD', KEYS[2], 'NOMKSTREAM', '*', 'p', m[4], 'r', record)
if not id then -- Redis has evicted the log, and with it the session (whole.lua)
  return {'gone', 0, '', ''}
end
local kept = redis.pcall('HSET', KEYS[1], 'next', after, 'offset', id)
if type(kept) == 'table' then -- refused (rights.lua): the batch comes again, and would be there twice
  redis.call('XDEL', KEYS[2], id)
  return kept
end
redis.call('PUBLISH', KEYS[3], m[4] .. '\n' .. id .. '\n' .. record)
return {'appended', after, id, m[5]}
