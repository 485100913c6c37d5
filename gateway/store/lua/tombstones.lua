-- Prepended to the scripts that leave and consume tombstones, after common.lua: stops of what has
-- not come yet.

-- One whose deadline is further away was left before the clock went back.
local MAX_TOMBSTONE_MS = 600000

-- Consume a tombstone of one of these (a message, or NL and the key of a send); return the user who
-- stopped it. A tombstone from before the session counts if its reach covers the session.
local function take_tombstone(ids, now, tenant, owner)
  if redis.call('EXISTS', STOPS) == 0 then
    return nil
  end
  for _, reach in ipairs({'', tenant .. '|' .. owner .. ' ', tenant .. '|* ', '* '}) do
    for _, id in ipairs(ids) do
      local deadline, by = (redis.call('HGET', STOPS, reach .. id) or ''):match('(.-)\n(.*)')
      redis.call('HDEL', STOPS, reach .. id)
      local left = (tonumber(deadline) or 0) - now
      if left > 0 and left <= MAX_TOMBSTONE_MS then
        return by
      end
    end
  end
end

local MAX_TOMBSTONES, MAX_REACHES = 64, 8

-- Drop tombstones, if there are too many: clients choose the messages' ids. Before a session
-- exists, anybody may leave some under its id. Each reach has its own, so that a flood does not
-- undo the stop of another caller.
local function make_room(whose)
  local kept, own = redis.call('HKEYS', STOPS), {}
  for _, each in ipairs(kept) do
    if each:sub(1, #whose) == whose then own[#own + 1] = each end
  end
  if #kept >= MAX_TOMBSTONES * MAX_REACHES then
    redis.call('DEL', STOPS)
  elseif #own >= MAX_TOMBSTONES then
    redis.call('HDEL', STOPS, unpack(own))
  end
end

-- Leave one that lasts for `ms`, in a session that lasts for `ttl_s` or, nil, has not begun.
local function leave_tombstone(id, by, ms, whose, ttl_s)
  make_room(whose)
  redis.call('HSET', STOPS, whose .. id, now_ms() + ms .. '\n' .. by)
  if ttl_s then
    redis.call('EXPIRE', STOPS, ttl_s)
  elseif redis.call('PTTL', STOPS) < tonumber(ms) then
    -- The session may begin with the very send that this prevents, or never.
    redis.call('PEXPIRE', STOPS, ms)
  end
end
