-- Prepended to the scripts that count bytes and tokens, after common.lua.

local DAY_MS = 86400000

-- The sum of what runs under way may come to: of a zset's tokens `RUN AMOUNT`.
local function sum_held(i, now)
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  local sum = 0
  for _, token in ipairs(redis.call('ZRANGE', KEYS[i], 0, -1)) do
    sum = sum + (tonumber(token:match(' (%d+)$')) or 0)
  end
  return sum
end

-- The bytes that are stored: the sum of a hash's entries, kept in its field ''. The zset before
-- it has entry -> ms when it expires.
local function sum_stored(i, now)
  if redis.call('EXISTS', KEYS[i]) == 0 then -- also if Redis has evicted it
    redis.call('DEL', KEYS[i + 1])
    return 0
  end
  for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[i], '-inf', now, 'LIMIT', 0, 500)) do
    redis.call('HINCRBY', KEYS[i + 1], '', -tonumber(redis.call('HGET', KEYS[i + 1], entry) or 0))
    redis.call('HDEL', KEYS[i + 1], entry)
    redis.call('ZREM', KEYS[i], entry)
  end
  return tonumber(redis.call('HGET', KEYS[i + 1], '') or 0)
end

-- The tokens that were used today, by UTC: of a string `DAY TOKENS`.
local function used_today(i, now)
  local day, tokens = (redis.call('GET', KEYS[i]) or ''):match('^(%d+) (%d+)$')
  return tonumber(day) == math.floor(now / DAY_MS) and tonumber(tokens) or 0
end
