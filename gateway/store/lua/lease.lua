-- Prepended to the scripts that set or judge a lease, after lanes.lua. `lease` is the end of a run's
-- lease, in ms of Redis's clock, and `term` its length in ms. `renewals` tells it from another lease
-- with the same end, by a clock that went back. A waiting run has neither producer nor lease: `until`
-- is the end of its wait, and `term` its length.

local CLOCK_SLACK_MS = 1000

local function set_lease(lane, ms)
  set(lane, 'lease', now_ms() + ms, 'term', ms, 'until', '')
  redis.call('HINCRBY', lane.key, lane.at .. 'renewals', 1)
end
local function set_wait(lane, ms)
  set(lane, 'lease', '', 'term', ms, 'until', now_ms() + ms)
end

-- Whether it ends later than its term allows: it was given before the clock went back.
local function is_before_jump(left, term)
  return tonumber(term) ~= nil and left > math.max(term, 0) + CLOCK_SLACK_MS
end

-- Whether a run under way seems to have no producer; leases.py decides about its lease. A lease
-- from before the clock went back was not renewed since. No process renews a wait, so it lasts. The
-- run of an unknown state is left to later versions.
local function is_due(lane, now)
  local state, lease, term, wait = unpack(get(lane, 'state', 'lease', 'term', 'until'), 1, 4)
  if state == 'waiting' then
    return (tonumber(wait) or math.huge) <= now
  end
  local left = (tonumber(lease) or 0) - now
  return (state == 'open' or state == 'stopping') and (left <= 0 or is_before_jump(left, term))
end
