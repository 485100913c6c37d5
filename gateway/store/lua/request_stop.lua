-- Record a stop for the run under way, or for a send or a message that has none yet.
-- Returns {status, run}
local MAX_TOMBSTONES, MAX_REACHES = 64, 8
-- Let go of tombstones, if there are too many. Before there is a session, anybody may leave some
-- under its id: of a reach's own, so that nobody's flood undoes another's stop.
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
is_lost() -- and then there is no session
local m = redis.call('HMGET', META, 'run', 'state', 'lease', 'stop', 'answers', 'writes',
  'tenant', 'owner', 'format', 'term')
if m[1] and not covers(reach, m[7] or '', m[8]) then
  return {'nothing', ''} -- it has begun since it was looked for, and is another's
end
if is_newer(m[9]) then
  return {'newer', ''}
end
local wanted, tombstone = run, message
if run == '' and request_key ~= '' then
  -- A send that was accepted is its run; one that was not leaves its message alone.
  wanted = m[1] and redis.call('HGET', REQUESTS, request_key) or ''
  tombstone = '\n' .. request_key
end
local meant = message == '' or message == m[5] or message == m[6]
if wanted ~= '' or request_key ~= '' and message == '' then
  meant = wanted == m[1]
end
if m[1] and meant and m[2] ~= 'ended' then
  if m[2] == 'open' then
    commit_stop(by)
  end
  return {has_ended(m[3], m[10], now_ms()) and 'orphan' or 'stopping', m[1]}
end
if wanted ~= '' or tombstone == '' then
  return {'nothing', ''}
end
-- Clients name the messages: without a bound they could fill the session with them.
local whose = m[1] and '' or reach .. ' '
make_room(whose)
tombstone = whose .. tombstone
redis.call('HSET', STOPS, tombstone, now_ms() + tombstone_ms .. '\n' .. by)
if m[1] then
  redis.call('EXPIRE', STOPS, ttl_s)
elseif redis.call('PTTL', STOPS) < tonumber(tombstone_ms) then
  -- The session may begin with the very send that this prevents, or never.
  redis.call('PEXPIRE', STOPS, tombstone_ms)
end
return {'prevented', ''}
