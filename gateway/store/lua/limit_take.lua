-- Take what a request needs of one scope's limits, or nothing.
-- KEYS: 1 send times (the theoretical arrival time of GCRA: us)  2 sends seen  3 runs  4 streams
--       5 bytes of runs under way  6 entries stored  7 their bytes  8 tokens of runs under way
--       9 tokens used; 2 to 5 and 8 are zsets: token -> ms when it expires
-- ARGV: 1 send: token or ''  2 stream: token or ''  3 run of the send: token
--       4 between two sends: us, 0 unlimited  5 burst: us  6 most runs  7 most streams (0 unlimited)
--       8 lease: ms  9 remember a send: ms  10 bytes: token or ''  11 most bytes
--       12 tokens: token or ''  13 most tokens
-- Returns the limit that is reached or '', ms until it is not (0: nobody knows), whether the
-- send was seen before.
local send, stream, run = ARGV[1], ARGV[2], ARGV[3]
local between, burst = tonumber(ARGV[4]), tonumber(ARGV[5])
local lease, remember = tonumber(ARGV[8]), tonumber(ARGV[9])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local arrival = 0

redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now_ms)
local seen = send ~= '' and redis.call('ZSCORE', KEYS[2], send)
if send ~= '' and not seen then
  if between > 0 then
    arrival = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now) + between
    if arrival - burst > now then
      return {'sends_per_minute', math.ceil((arrival - burst - now) / 1000), 0}
    end
  end
  if full(3, tonumber(ARGV[6]), run, now_ms) then return {'open_runs', 0, 0} end
  local reached, reset = budget_reached(now_ms)
  if reached then return {reached, reset, 0} end
end
if stream ~= '' and full(4, tonumber(ARGV[7]), stream, now_ms) and not seen then
  return {'open_streams', 0, 0}
end
if seen then
  -- It is answered with the run that it has; so often, and then it counts as a new one.
  redis.call('ZINCRBY', KEYS[2], -math.floor(remember / 20), send)
elseif send ~= '' then
  hold(2, send, now_ms, remember)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -2001)
  hold(3, run, now_ms, lease)
  hold(5, ARGV[10], now_ms, lease)
  hold(8, ARGV[12], now_ms, lease)
  if between > 0 then
    redis.call('SET', KEYS[1], string.format('%.0f', arrival), 'PX',
      math.ceil((arrival - now) / 1000) + 1000)
  end
end
hold(4, stream, now_ms, lease)
return {'', 0, seen and 1 or 0}
