-- Note members of a hint, scored by Redis's clock so that processes agree.
-- KEYS: 1 the hint
-- ARGV: 1 delay: ms  2 ttl: s  3.. members
local score = now_ms() + ARGV[1]
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], score, ARGV[i])
end
redis.call('EXPIRE', KEYS[1], ARGV[2])
return score
