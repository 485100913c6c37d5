-- Give back a request's share of one scope's limits: another scope's limit is reached.
local arrival = send ~= '' and redis.call('GET', SENDS)
if arrival then
  redis.call('SET', SENDS, string.format('%.0f', arrival - between_us), 'KEEPTTL')
end
redis.call('ZREM', SEEN, send)
redis.call('ZREM', RUNS, run)
redis.call('ZREM', STREAMS, stream)
redis.call('ZREM', HELD_BYTES, size)
redis.call('ZREM', HELD_TOKENS, budget)
