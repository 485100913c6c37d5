-- Take what a request needs of one scope's limits, or nothing.
-- KEYS: 1 send times (the theoretical arrival time of GCRA: us)  2 sends seen  3 runs  4 streams
-- ARGV: 1 send: token or ''  2 stream: token or ''  3 run of the send: token
--       4 between two sends: us, 0 unlimited  5 burst: us  6 most runs  7 most streams (0 unlimited)
--       8 lease: ms  9 remember a send: ms
-- Returns the limit that is reached or '', ms until it is not (0: nobody knows), whether the
-- send was seen before. 2, 3 and 4 are zsets: token -> ms when it expires.
local send, stream, run = ARGV[1], ARGV[2], ARGV[3]
local between, burst = tonumber(ARGV[4]), tonumber(ARGV[5])
local lease, remember = tonumber(ARGV[8]), tonumber(ARGV[9])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local arrival = 0

-- Whether no place is left among so many tokens; those that have expired give theirs back.
local function full(i, most, token)
  redis.call('ZREMRANGEBYSCORE', KEYS[i], '-inf', now_ms)
  return most > 0 and redis.call('ZCARD', KEYS[i]) >= most
    and not redis.call('ZSCORE', KEYS[i], token)
end

local function hold(i, token, score, ttl)
  redis.call('ZADD', KEYS[i], score, token)
  redis.call('PEXPIRE', KEYS[i], ttl)
end

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
local seen = send ~= '' and redis.call('ZSCORE', KEYS[2], send)
if send ~= '' and not seen then
  if between > 0 then
    arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + between
    if arrival - burst > now then
      return {'sends_per_minute', math.ceil((arrival - burst - now) / 1000), 0}
    end
  end
  if full(3, tonumber(ARGV[6]), run) then
    return {'open_runs', 0, 0}
  end
end
if stream ~= '' and full(4, tonumber(ARGV[7]), stream) and not seen then
  return {'open_streams', 0, 0}
end
if seen then
  -- It is answered with the run that it has; so often, and then it counts as a new one.
  redis.call('ZINCRBY', KEYS[2], -math.floor(remember / 20), send)
elseif send ~= '' then
  hold(2, send, now_ms + remember, remember)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -2001)
  hold(3, run, now_ms + lease, lease)
  if between > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX',
      math.ceil((arrival - now) / 1000) + 1000)
  end
end
if stream ~= '' then
  hold(4, stream, now_ms + lease, lease)
end
return {'', 0, seen and 1 or 0}
