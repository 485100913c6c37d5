-- Prepended to the scripts that count tokens.
-- USED: string: `DAY TOKENS`

local DAY_MS = 86400000

-- The tokens that were used today, by UTC.
local function used_today(now)
  local day, used = (redis.call('GET', USED) or ''):match('^(%d+) (%d+)$')
  return tonumber(day) == math.floor(now / DAY_MS) and tonumber(used) or 0
end
