-- Prepended to the scripts that count bytes stored.
-- STORED: zset: entry -> ms when it expires. SIZES: hash: entry -> bytes, '' -> their sum

-- Stored bytes: the sum of the entries that have not expired.
local function sum_stored(now)
  if redis.call('EXISTS', STORED) == 0 then -- also if Redis has evicted it
    redis.call('DEL', SIZES)
    return 0
  end
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', STORED, '-inf', now, 'LIMIT', 0, 500)) do
    redis.call('HINCRBY', SIZES, '', -tonumber(redis.call('HGET', SIZES, entry) or 0))
    redis.call('HDEL', SIZES, entry)
    redis.call('ZREM', STORED, entry)
  end
  return tonumber(redis.call('HGET', SIZES, '') or 0)
end
