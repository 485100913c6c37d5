-- Give back what a request took of one scope's limits, because another scope's is reached.
local arrival = send ~= '' and redis.call('GET', SENDS)
if arrival then
  redis.call('SET', SENDS, string.format('%.0f', arrival - between_us), 'KEEPTTL')
end
redis.call('ZREM', SEEN, send)
redis.call('ZREM', RUNS, run)
redis.call('ZREM', STREAMS, stream)
redis.call('ZREM', HELD_BYTES, size)
redis.call('ZREM', HELD_TOKENS, budget)
