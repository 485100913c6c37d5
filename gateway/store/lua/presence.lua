-- Say which users have the session open in one process, and return who has it open at all.
-- KEYS: 1 feed (channel)  2 here: hash, `process|user` -> `deadline tabs`, `` -> last published
-- ARGV: 1 process ('' to look only)  2 lifetime: ms  3 user  4 tabs: int >= 0
--   5 dead: the processes of names that begin so have ended; '' for none
-- Returns JSON: [{"user", "tabs", "lastSeenMs"}], by user. Publishes it when somebody came,
--   went, or opened or closed a tab; what a crashed process said runs out by itself.
local now, lifetime, dead = now_ms(), tonumber(ARGV[2]), ARGV[5]
if ARGV[1] ~= '' then
  local field = ARGV[1] .. '|' .. ARGV[3]
  if tonumber(ARGV[4]) > 0 then
    redis.call('HSET', KEYS[2], field, now + lifetime .. ' ' .. ARGV[4])
  else
    redis.call('HDEL', KEYS[2], field)
  end
end

local seen, users = {}, {}
local said = redis.call('HGETALL', KEYS[2])
for i = 1, #said, 2 do
  local user = said[i]:match('|(.*)')
  local deadline, tabs = said[i + 1]:match('(%d+) (%d+)')
  -- One that is further ahead than it can be was said before the clock went back.
  local left = user and deadline - now
  local has_died = dead ~= '' and said[i]:sub(1, #dead) == dead
  if user and (has_died or left <= 0 or left > lifetime) then
    redis.call('HDEL', KEYS[2], said[i])
  elseif user then
    if not seen[user] then
      seen[user] = {user = user, tabs = 0, lastSeenMs = 0}
      users[#users + 1] = user
    end
    seen[user].tabs = seen[user].tabs + tonumber(tabs)
    seen[user].lastSeenMs = math.max(seen[user].lastSeenMs, deadline - lifetime)
  end
end
table.sort(users)
local here, brief = {}, {}
for i, user in ipairs(users) do
  here[i] = cjson.encode(seen[user])
  brief[i] = seen[user].tabs .. ' ' .. user
end
local list = '[' .. table.concat(here, ',') .. ']'
local digest = redis.sha1hex(table.concat(brief, '\n'))
if ARGV[1] ~= '' then
  if redis.call('HGET', KEYS[2], '') ~= digest then
    redis.call('HSET', KEYS[2], '', digest)
    redis.call('PUBLISH', KEYS[1], '\n\np\n' .. list)
  end
  redis.call('PEXPIRE', KEYS[2], 2 * lifetime)
end
return list
