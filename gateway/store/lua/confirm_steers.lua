-- Record that a run has taken steers up: its message, and the log, have them.
-- Returns 'confirmed', or 'newer'
if is_lost() then
  return 'confirmed' -- with the session
end
if is_newer(redis.call('HGET', META, 'format')) then
  return 'newer'
end
for _, id in ipairs(ids) do
  local its_run, step = header_of_steer(id)
  if its_run == run then
    decide(id, 'delivered ' .. step)
  end
end
refresh(ttl_s)
return 'confirmed'
