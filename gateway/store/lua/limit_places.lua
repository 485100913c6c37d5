-- Prepended to limit_take.lua, after limit_stored.lua and limit_used.lua.

-- Whether no place is left among so many tokens; expired tokens free theirs.
local function full(key, most, token, now)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  return most > 0 and redis.call('ZCARD', key) >= most
    and not redis.call('ZSCORE', key, token)
end

local function hold(key, token, now, ttl)
  if token ~= '' then
    redis.call('ZADD', key, now + ttl, token)
    redis.call('PEXPIRE', key, ttl)
  end
end

-- Sum of the reservations of runs under way: a zset's tokens `RUN AMOUNT`.
local function sum_held(key, now)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
  local sum = 0
  for _, token in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    sum = sum + (tonumber(token:match(' (%d+)$')) or 0)
  end
  return sum
end

-- The limit of bytes or tokens that leaves nothing to a new run, and ms until that changes by
-- itself. A run that is under way continues.
local function budget_reached(now)
  local most = tonumber(most_bytes)
  if most > 0 and not redis.call('ZSCORE', HELD_BYTES, size)
    and sum_stored(now) + sum_held(HELD_BYTES, now) >= most then
    local first = redis.call('ZRANGE', STORED, 0, 0, 'WITHSCORES')[2]
    return 'stored_bytes', first and math.max(1, first - now) or 0
  end
  most = tonumber(most_tokens)
  if most > 0 and not redis.call('ZSCORE', HELD_TOKENS, budget) then
    local used = used_today(now)
    if used + sum_held(HELD_TOKENS, now) >= most then
      return 'tokens_per_day', used >= most and DAY_MS - now % DAY_MS or 0
    end
  end
end
