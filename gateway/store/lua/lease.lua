-- Prepended to the scripts that set or judge a lease, after lanes.lua. `lease` is the end of a run's
-- lease, in ms of Redis's clock, and `term` its length in ms. `renewals` tells it from another lease
-- with the same end, by a clock that went back. `within` is the ms in which a living producer renews:
-- a longer lease waits for another attempt at a job. A waiting run has neither producer nor lease:
-- `until` is the end of its wait, and `term` its length.

local CLOCK_SLACK_MS = 1000

-- patience: ms after which it ends if it is not renewed; nil or '': `ms`.
local function set_lease(lane, ms, patience)
  local term = math.max(ms, tonumber(patience) or 0)
  set(lane, 'lease', now_ms() + term, 'term', term, 'within', ms, 'until', '')
  redis.call('HINCRBY', lane.key, lane.at .. 'renewals', 1)
end
-- The length of a lease that waits for another attempt, and since when its producer is late; or nil.
local function patience_of(lane)
  local m = get(lane, 'lease', 'term', 'within')
  local ends, term, within = tonumber(m[1]), tonumber(m[2]), tonumber(m[3])
  if ends and term and within and term > within then
    return term, ends - term + within
  end
end
-- A stopped run waits for no other attempt: its lease ends when its producer is late.
local function wait_no_longer(lane)
  local term, late_at = patience_of(lane)
  if term then
    set(lane, 'lease', late_at, 'term', get(lane, 'within')[1])
    redis.call('HINCRBY', lane.key, lane.at .. 'renewals', 1)
  end
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

-- Whether another attempt at a run's job is awaited: its producer is late, and its lease goes on.
local function is_silent(lane, now)
  local term, late_at = patience_of(lane)
  return term ~= nil and late_at <= now and get(lane, 'state')[1] == 'open' and not is_due(lane, now)
end
