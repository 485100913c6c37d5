-- Delete a session, and tell its readers with a record that follows the head.
-- Returns {owner, the run that was under way or '', tenant}, nil if it does not exist, or `newer`
is_lost() -- and then it does not exist
local m = redis.call('HMGET', META, 'owner', 'run', 'state', 'offset', 'tenant', 'format')
if not m[1] or not covers(reach, m[5] or '', m[1]) then
  return nil
end
if is_newer(m[6]) then
  return 'newer' -- it may have keys that we do not know
end
redis.call('UNLINK', META, LOG, RUNS, MESSAGES, REQUESTS, STOPS)
local time, sequence = m[4]:match('(.-)-(.*)')
local id = time .. '-' .. sequence + 1
redis.call('PUBLISH', FEED, m[4] .. '\n' .. id .. '\ne')
return {m[1], m[3] ~= 'ended' and m[2] or '', m[5] or ''}
