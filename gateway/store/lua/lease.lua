-- Prepended to the scripts that set or judge a lease, after common.lua. A run's lease is when it
-- ends, in ms of Redis's clock; its term is for how many ms it was given; `renewals` tells one from
-- another that ends at the same time, by a clock that went back.

local CLOCK_SLACK_MS = 1000

local function set_lease(ms)
  redis.call('HSET', META, 'lease', now_ms() + ms, 'term', ms)
  redis.call('HINCRBY', META, 'renewals', 1)
end

-- Whether a lease seems to have ended; leases.py decides. One that ends later than its term allows
-- was given before the clock went back, and was not renewed since.
local function has_ended(lease, term, now)
  local left = (tonumber(lease) or 0) - now
  return left <= 0 or (tonumber(term) ~= nil and left > math.max(term, 0) + CLOCK_SLACK_MS)
end
