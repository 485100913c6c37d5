-- Prepended to the scripts that read or write a session, after common.lua.
--
-- An evicting Redis removes single keys. A session that lacks one is lost as a whole: the rest
-- would be shown as an empty history, or as a run that never ends.

-- Whether Redis has lost a part of the session. Its meta, log, runs and msg are there together from
-- the first record on, its side while a side run is open, and meta names no run and no message that
-- the others lack.
local function is_torn(run, head, side)
  local there = redis.call('EXISTS', META, LOG, RUNS, MESSAGES)
  if there ~= 4 then
    return there > 0
  end
  return (side or '') ~= '' and redis.call('EXISTS', SIDE) == 0
    or (run or '') ~= '' and redis.call('HEXISTS', RUNS, run) == 0
    or (head or '') ~= '' and redis.call('HEXISTS', MESSAGES, head .. '|') == 0
end

-- Whether the session is lost. The rest of it is removed, unless only a newer gateway may do that.
-- Its stops stay: they may be for the send that begins it again.
local function is_lost()
  local m = redis.call('HMGET', META, 'run', 'head', 'format', 'side')
  if not is_torn(m[1], m[2], m[4]) then
    return false
  end
  if (tonumber(m[3]) or 1) <= WRITE_FORMAT then
    redis.call('UNLINK', META, LOG, RUNS, SIDE, MESSAGES, REQUESTS)
    -- It follows no record, and is ahead of every head: its readers compare with the log.
    redis.call('PUBLISH', FEED, '\n18446744073709551615-0\nl')
  end
  return true
end
