-- Note the users that have the session open in one process; return those of all processes.
-- HERE: hash, `process|user` -> `deadline tabs`, `` -> last published
-- Returns JSON: [{"user", "tabs", "lastSeenMs"}], by user. Publishes it when a user came or left,
--   or opened or closed a tab. The entries of a crashed process expire.
local now, lifetime = now_ms(), tonumber(lifetime_ms)
if process ~= '' then
  local field = process .. '|' .. user
  if tonumber(tabs) > 0 then
    redis.call('HSET', HERE, field, now + lifetime .. ' ' .. tabs)
  else
    redis.call('HDEL', HERE, field)
  end
end

local seen, users = {}, {}
local said = redis.call('HGETALL', HERE)
for i = 1, #said, 2 do
  local who = said[i]:match('|(.*)')
  local deadline, open_tabs = said[i + 1]:match('(%d+) (%d+)')
  -- One that is further ahead than it can be was said before the clock went back.
  local left = who and deadline - now
  local has_died = dead ~= '' and said[i]:sub(1, #dead) == dead
  if who and (has_died or left <= 0 or left > lifetime) then
    redis.call('HDEL', HERE, said[i])
  elseif who then
    if not seen[who] then
      seen[who] = {user = who, tabs = 0, lastSeenMs = 0}
      users[#users + 1] = who
    end
    seen[who].tabs = seen[who].tabs + tonumber(open_tabs)
    seen[who].lastSeenMs = math.max(seen[who].lastSeenMs, deadline - lifetime)
  end
end
table.sort(users)
local here, brief = {}, {}
for i, who in ipairs(users) do
  here[i] = cjson.encode(seen[who])
  brief[i] = seen[who].tabs .. ' ' .. who
end
local list = '[' .. table.concat(here, ',') .. ']'
local digest = redis.sha1hex(table.concat(brief, '\n'))
if process ~= '' then
  if redis.call('HGET', HERE, '') ~= digest then
    redis.call('HSET', HERE, '', digest)
    redis.call('PUBLISH', FEED, '\n\np\n' .. list)
  end
  redis.call('PEXPIRE', HERE, 2 * lifetime)
end
return list
