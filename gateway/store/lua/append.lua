-- Append one batch of a run's chunks: idempotent by (run, fence, first).
-- Returns {status, next: int, offset, stopped by}
local m = redis.call('HMGET', META, 'run', 'fence', 'next', 'offset', 'stop', 'state', 'format')
if m[7] and tonumber(m[7]) > WRITE_FORMAT then -- is_newer (format.lua) would cost 4 % of an append
  return {'newer', 0, '', ''}
end
local at -- of a side run: what is before its fields (lanes.lua)
if m[1] ~= run then
  at = run .. '|'
  m[2], m[3], m[5], m[6] = unpack(
    redis.call('HMGET', SIDE, at .. 'fence', at .. 'next', at .. 'stop', at .. 'state'), 1, 4)
  if not m[6] then
    local known = m[1] and redis.call('HEXISTS', RUNS, run) == 1
    return {known and 'fenced' or 'gone', 0, '', ''}
  end
end
if m[2] ~= fence then
  return {'fenced', 0, '', ''}
end
local after = first + count
if m[3] ~= first or m[6] ~= 'open' and m[6] ~= 'stopping' then
  local expected = tonumber(m[3])
  if after <= expected then
    return {'duplicate', expected, '', m[5]}
  end
  local produced = m[6] == 'open' or m[6] == 'stopping'
  return {produced and 'gap' or 'fenced', expected, '', m[5]}
end
local record = 'c\n' .. run .. '\n' .. first .. '\n' .. count .. '\n' .. level .. '\n' .. payload
local id = redis.call('XADD', LOG, 'NOMKSTREAM', '*', 'p', m[4], 'r', record)
if not id then -- Redis has evicted the log, and with it the session (whole.lua)
  return {'gone', 0, '', ''}
end
local kept
if at then
  kept = redis.pcall('HSET', SIDE, at .. 'next', after)
  if type(kept) ~= 'table' then
    kept = redis.pcall('HSET', META, 'offset', id)
    if type(kept) == 'table' then redis.call('HSET', SIDE, at .. 'next', first) end
  end
else
  kept = redis.pcall('HSET', META, 'next', after, 'offset', id)
end
if type(kept) == 'table' then -- refused (rights.lua): the batch comes again, and would be there twice
  redis.call('XDEL', LOG, id)
  return kept
end
redis.call('PUBLISH', FEED, m[4] .. '\n' .. id .. '\n' .. record)
return {'appended', after, id, m[5]}
