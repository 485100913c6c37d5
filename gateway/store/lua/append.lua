-- Append one batch of a run's chunks: idempotent by (run, fence, first).
-- Returns {status, next: int, offset, stopped by}
local m = redis.call('HMGET', META, 'run', 'fence', 'next', 'offset', 'stop', 'state', 'format')
if m[7] and tonumber(m[7]) > WRITE_FORMAT then -- is_newer (format.lua) would cost 4 % of an append
  return {'newer', 0, '', ''}
end
if m[1] ~= run then
  if m[1] and redis.call('HEXISTS', RUNS, run) == 1 then
    return {'fenced', 0, '', ''}
  end
  return {'gone', 0, '', ''}
end
if m[2] ~= fence then
  return {'fenced', 0, '', ''}
end
local after = first + count
if m[3] ~= first or m[6] == 'ended' then
  local expected = tonumber(m[3])
  if after <= expected then
    return {'duplicate', expected, '', m[5]}
  end
  return {m[6] == 'ended' and 'fenced' or 'gap', expected, '', m[5]}
end
local record = 'c\n' .. run .. '\n' .. first .. '\n' .. count .. '\n' .. level .. '\n' .. payload
local id = redis.call('XADD', LOG, 'NOMKSTREAM', '*', 'p', m[4], 'r', record)
if not id then -- Redis has evicted the log, and with it the session (whole.lua)
  return {'gone', 0, '', ''}
end
local kept = redis.pcall('HSET', META, 'next', after, 'offset', id)
if type(kept) == 'table' then -- refused (rights.lua): the batch comes again, and would be there twice
  redis.call('XDEL', LOG, id)
  return kept
end
redis.call('PUBLISH', FEED, m[4] .. '\n' .. id .. '\n' .. record)
return {'appended', after, id, m[5]}
