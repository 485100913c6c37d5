-- Prepended to limit_take.lua, after limit_budgets.lua; KEYS and ARGV are of that.

-- Whether no place is left among so many tokens; those that have expired give theirs back.
local function full(i, most, token, now)
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now)
  return most > 0 and redis.call('ZCARD', KEYS[i]) >= most
    and not redis.call('ZSCORE', KEYS[i], token)
end

local function hold(i, token, now, ttl)
  if token ~= '' then
    redis.call('ZADD', KEYS[i], now + ttl, token)
    redis.call('PEXPIRE', KEYS[i], ttl)
  end
end

-- The limit of bytes or tokens that leaves nothing to a new run, and ms until that changes by
-- itself. A run that is under way goes on.
local function budget_reached(now)
  local size, most = ARGV[10], tonumber(ARGV[11])
  if most > 0 and not redis.call('ZSCORE', KEYS[5], size)
    and sum_stored(6, now) + sum_held(5, now) >= most then
    local first = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')[2]
    return 'stored_bytes', first and math.max(1, first - now) or 0
  end
  local tokens, budget = ARGV[12], tonumber(ARGV[13])
  if budget > 0 and not redis.call('ZSCORE', KEYS[8], tokens) then
    local used = used_today(9, now)
    if used + sum_held(8, now) >= budget then
      return 'tokens_per_day', used >= budget and DAY_MS - now % DAY_MS or 0
    end
  end
end
