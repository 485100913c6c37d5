-- Prepended to the scripts by which an attempt at a job claims its run, after lease.lua. `attempt` is
-- the attempt's number, or ''; `patience_ms` how long the run waits for the next one, or ''.

-- Whether a later attempt has claimed a run. The lane holds `RUN NUMBER`: a gateway that does not
-- count attempts leaves that of an earlier run there.
local function is_overtaken(lane, its_run)
  local known, seen = (get(lane, 'attempt')[1] or ''):match('^(.-) (%d+)$')
  return attempt ~= '' and known == its_run and tonumber(seen) > tonumber(attempt)
end

local function note_attempt(lane)
  if attempt ~= '' then
    set(lane, 'attempt', lane.run .. ' ' .. attempt)
  end
  if patience_ms ~= '' and get(lane, 'state')[1] == 'open' then
    set_lease(lane, lease_ms, patience_ms)
  end
end
