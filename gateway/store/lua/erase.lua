-- Delete a session, and tell its readers with a record that follows the head.
-- Returns {owner, tenant, the runs that were under way}, nil if it does not exist, or `newer`
is_lost() -- and then it does not exist
local m = redis.call('HMGET', META, 'owner', 'offset', 'tenant', 'format')
if not m[1] or not covers(reach, m[3] or '', m[1]) then
  return nil
end
if is_newer(m[4]) then
  return 'newer' -- it may have keys that we do not know
end
local runs = {}
for i, lane in ipairs(open_lanes()) do
  runs[i] = lane.run
end
redis.call('UNLINK', META, LOG, RUNS, SIDE, MESSAGES, REQUESTS, STOPS)
local time, sequence = m[2]:match('(.-)-(.*)')
local id = time .. '-' .. sequence + 1
redis.call('PUBLISH', FEED, m[2] .. '\n' .. id .. '\ne')
return {m[1], m[3] or '', runs}
