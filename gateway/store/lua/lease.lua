-- Prepended to the scripts that set or judge a lease, after lanes.lua. A run's lease is when it
-- ends, in ms of Redis's clock; its term is for how many ms it was given; `renewals` tells one from
-- another that ends at the same time, by a clock that went back. A run that waits has neither
-- producer nor lease: `until` is when its wait ends, and the term for how long that was.

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

-- Whether a run under way seems to have no producer; of its lease, leases.py decides. One of before
-- the clock went back was not renewed since. Nobody renews a wait, so it lasts.
-- A run in a state of a version to come is not ours to judge.
local function is_due(lane, now)
  local state, lease, term, wait = unpack(get(lane, 'state', 'lease', 'term', 'until'), 1, 4)
  if state == 'waiting' then
    return (tonumber(wait) or math.huge) <= now
  end
  local left = (tonumber(lease) or 0) - now
  return (state == 'open' or state == 'stopping') and (left <= 0 or is_before_jump(left, term))
end
