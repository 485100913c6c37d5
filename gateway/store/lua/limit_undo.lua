-- Give back what a request took of one scope's limits, because another scope's is reached.
-- KEYS: as of limit_take
-- ARGV: 1 send: token or ''  2 stream: token or ''  3 run of the send: token
--       4 between two sends: us, 0 unlimited  5 bytes: token or ''  6 tokens: token or ''
local arrival = ARGV[1] ~= '' and redis.call('GET', KEYS[1])
if arrival then
  redis.call('SET', KEYS[1], string.format('%.0f', arrival - ARGV[4]), 'KEEPTTL')
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[3])
redis.call('ZREM', KEYS[4], ARGV[2])
redis.call('ZREM', KEYS[5], ARGV[5])
redis.call('ZREM', KEYS[8], ARGV[6])
