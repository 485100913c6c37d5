-- Record a stop for the run under way, or for a send or a message that has none yet.
-- ARGV: 1 run or ''  2 message or ''  3 by: JSON string  4 tombstone: ms  5 ttl: s
--   6 request key of the send, or ''  7 reach of who asks
-- Returns {status, run}
local MAX_TOMBSTONES, MAX_REACHES = 64, 8
-- Let go of tombstones, if there are too many. Before there is a session, anybody may leave some
-- under its id: of a reach's own, so that nobody's flood undoes another's stop.
local function make_room(whose)
  local kept, own = redis.call('HKEYS', KEYS[7]), {}
  for _, each in ipairs(kept) do
    if each:sub(1, #whose) == whose then own[#own + 1] = each end
  end
  if #kept >= MAX_TOMBSTONES * MAX_REACHES then
    redis.call('DEL', KEYS[7])
  elseif #own >= MAX_TOMBSTONES then
    redis.call('HDEL', KEYS[7], unpack(own))
  end
end
is_lost() -- and then there is no session
local m = redis.call('HMGET', KEYS[1], 'run', 'state', 'lease', 'stop', 'answers', 'writes',
  'tenant', 'owner', 'format', 'term')
if m[1] and not covers(ARGV[7], m[7] or '', m[8]) then
  return {'nothing', ''} -- it has begun since it was looked for, and is another's
end
if is_newer(m[9]) then
  return {'newer', ''}
end
local run, tombstone = ARGV[1], ARGV[2]
if run == '' and ARGV[6] ~= '' then
  -- A send that was accepted is its run; one that was not leaves its message alone.
  run = m[1] and redis.call('HGET', KEYS[6], ARGV[6]) or ''
  tombstone = '\n' .. ARGV[6]
end
local meant = ARGV[2] == '' or ARGV[2] == m[5] or ARGV[2] == m[6]
if run ~= '' or ARGV[6] ~= '' and ARGV[2] == '' then
  meant = run == m[1]
end
if m[1] and meant and m[2] ~= 'ended' then
  if m[2] == 'open' then
    commit_stop(ARGV[3])
  end
  return {has_ended(m[3], m[10], now_ms()) and 'orphan' or 'stopping', m[1]}
end
if run ~= '' or tombstone == '' then
  return {'nothing', ''}
end
-- Clients name the messages: without a bound they could fill the session with them.
local whose = m[1] and '' or ARGV[7] .. ' '
make_room(whose)
tombstone = whose .. tombstone
redis.call('HSET', KEYS[7], tombstone, now_ms() + ARGV[4] .. '\n' .. ARGV[3])
if m[1] then
  redis.call('EXPIRE', KEYS[7], ARGV[5])
elseif redis.call('PTTL', KEYS[7]) < tonumber(ARGV[4]) then
  -- The session may begin with the very send that this prevents, or never.
  redis.call('PEXPIRE', KEYS[7], ARGV[4])
end
return {'prevented', ''}
