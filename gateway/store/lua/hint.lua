-- Note members of a hint, scored by Redis's clock so that processes agree.
local score = now_ms() + delay_ms
for _, member in ipairs(members) do
  redis.call('ZADD', HINT, score, member)
end
redis.call('EXPIRE', HINT, ttl_s)
return score
