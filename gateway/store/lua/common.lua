-- Prepended to every script but append.lua, which is too hot for it (scripts/catalog.py).
--
-- Names in capitals are names in Redis (keys.py), the others are arguments; both are locals at the
-- head of the script (script.py). A part may use the names that all scripts with it have.
-- Integers are decimal text, absent values are the empty string, and `by` is a JSON string, so
-- that no value has a newline.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Whether a session is within the caller's reach (`TENANT|USER`, `TENANT|*` or `*`).
local function covers(reach, tenant, owner)
  return reach == '*' or reach == tenant .. '|*' or reach == tenant .. '|' .. owner
end

-- Append one record and publish it. Returns its stream id.
local function commit(record)
  local previous = redis.call('HGET', META, 'offset')
  local id = redis.call('XADD', LOG, '*', 'p', previous, 'r', record)
  redis.call('HSET', META, 'offset', id)
  redis.call('PUBLISH', FEED, previous .. '\n' .. id .. '\n' .. record)
  return id
end

-- Raise the session's format, when a feature of that format is first used in it: gateways that do
-- not write it are refused from then on. See format.py.
local function raise_format(format)
  if format > tonumber(redis.call('HGET', META, 'format') or 1) then
    redis.call('HSET', META, 'format', format)
  end
end

-- One deadline for all of a session, so that it expires as a whole.
local function refresh(ttl_s)
  for _, key in ipairs({META, LOG, RUNS, SIDE, MESSAGES, REQUESTS, STOPS}) do
    redis.call('EXPIRE', key, ttl_s)
  end
end
