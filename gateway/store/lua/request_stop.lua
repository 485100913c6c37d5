-- Record a stop for the run under way, or for a message that has none yet.
-- ARGV: 1 run or ''  2 message or ''  3 by: JSON string  4 tombstone: ms  5 ttl: s
-- Returns {status, run}
local MAX_TOMBSTONES = 64
local m = redis.call('HMGET', KEYS[1], 'run', 'state', 'lease', 'stop', 'answers', 'writes')
if not m[1] then
  return {'nothing', ''}
end
local meant = ARGV[2] == '' or ARGV[2] == m[5] or ARGV[2] == m[6]
if ARGV[1] ~= '' then
  meant = ARGV[1] == m[1]
end
if meant and m[2] ~= 'ended' then
  if m[2] == 'open' then
    commit_stop(ARGV[3])
  end
  return {tonumber(m[3]) <= now_ms() and 'orphan' or 'stopping', m[1]}
end
if ARGV[1] ~= '' or ARGV[2] == '' then
  return {'nothing', ''}
end
-- Clients name the messages: without a bound they could fill the session with them.
if redis.call('HLEN', KEYS[7]) >= MAX_TOMBSTONES then
  redis.call('DEL', KEYS[7])
end
redis.call('HSET', KEYS[7], ARGV[2], now_ms() + ARGV[4] .. '\n' .. ARGV[3])
redis.call('EXPIRE', KEYS[7], ARGV[5])
return {'prevented', ''}
