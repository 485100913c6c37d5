-- Take a request's share of one scope's limits, or nothing.
-- SENDS: the theoretical arrival time of GCRA, us. SEEN, RUNS, STREAMS, HELD_BYTES, HELD_TOKENS:
-- zsets: token -> ms when it expires. The last two are of runs under way.
-- Returns the reached limit or '', ms until there is room (0: unknown), whether the send was seen
-- before.
local between, burst = tonumber(between_us), tonumber(burst_us)
local lease, remember = tonumber(lease_ms), tonumber(remember_ms)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local arrival = 0

redis.call('ZREMRANGEBYSCORE', SEEN, '-inf', now_ms)
local seen = send ~= '' and redis.call('ZSCORE', SEEN, send)
if send ~= '' and not seen then
  if between > 0 then
    arrival = math.max(tonumber(redis.call('GET', SENDS) or 0), now) + between
    if arrival - burst > now then
      return {'sends_per_minute', math.ceil((arrival - burst - now) / 1000), 0}
    end
  end
  if full(RUNS, tonumber(most_runs), run, now_ms) then return {'open_runs', 0, 0} end
  local reached, reset = budget_reached(now_ms)
  if reached then return {reached, reset, 0} end
end
if stream ~= '' and full(STREAMS, tonumber(most_streams), stream, now_ms) and not seen then
  return {'open_streams', 0, 0}
end
if seen then
  -- A repeated send is answered with its run; after so many repetitions it counts as new.
  redis.call('ZINCRBY', SEEN, -math.floor(remember / 20), send)
elseif send ~= '' then
  hold(SEEN, send, now_ms, remember)
  redis.call('ZREMRANGEBYRANK', SEEN, 0, -2001)
  hold(RUNS, run, now_ms, lease)
  hold(HELD_BYTES, size, now_ms, lease)
  hold(HELD_TOKENS, budget, now_ms, lease)
  if between > 0 then
    redis.call('SET', SENDS, string.format('%.0f', arrival), 'PX',
      math.ceil((arrival - now) / 1000) + 1000)
  end
end
hold(STREAMS, stream, now_ms, lease)
return {'', 0, seen and 1 or 0}
