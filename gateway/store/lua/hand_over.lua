-- Hand a session to a person, or back. META's `handoff` is `at NL term NL ends NL holder NL person NL
-- asked` (store/handoff/calls.py), and `notes` has `message BLANK note NL` of each note for the model.
-- Returns {'done' or 'taken', the handoff or ''}, {'none'}, {'denied'} or {'newer'}
local MAX_NOTES = 20
is_lost() -- and then there is no session
local m = redis.call('HMGET', META, 'owner', 'tenant', 'format', 'head')
if m[1] ~= expected_owner or (m[2] or '') ~= expected_tenant then
  return {'denied', ''}
end
if is_newer(m[3]) then
  return {'newer', ''}
end
local now, before = now_ms(), fact('handoff')
local at, term, ends, its_holder, its_person, its_asked =
  before:match('(.-)\n(.-)\n(.-)\n(.-)\n(.-)\n(.*)')
if at and its_holder ~= '' and tonumber(ends) <= now then -- its holder is gone: it waits again
  its_holder, its_person, ends = '', '', ends + term
end
if at and its_holder == '' and tonumber(ends) <= now then
  at = nil -- nobody came
end

if how == 'ask' and not at then
  raise_format(3) -- older gateways would have the model answer
  at, term, ends, its_holder, its_person, its_asked = now, wait_ms, now + wait_ms, '', '', asked
elseif not at and how ~= 'back' then
  return {'none', ''}
elseif how ~= 'ask' then
  if at and its_holder ~= '' and its_holder ~= holder then
    return {'taken', before}
  end
  if how == 'claim' then
    its_holder, its_person, ends = holder, person, now + claim_ms
  elseif how == 'release' then
    its_holder, its_person = to, to ~= '' and person or ''
    ends = now + (to ~= '' and claim_ms or term)
    if asked ~= '' then its_asked = asked end
  else
    at = nil
  end
end

local after = at and table.concat({at, term, ends, its_holder, its_person, its_asked}, '\n') or ''
redis.call('HSET', META, 'handoff', after)
if how == 'back' and note ~= '' then
  local notes, new = {}, (m[4] or '') .. ' ' .. note .. '\n'
  for line in fact('notes'):gmatch('(.-\n)') do notes[#notes + 1] = line end
  if notes[#notes] ~= new then notes[#notes + 1] = new end
  redis.call('HSET', META, 'notes', table.concat(notes, '', math.max(1, #notes - MAX_NOTES + 1)))
end
-- A claim that is renewed changes its end alone, which no record says.
local function without_end(text) return (text:gsub('^(.-\n.-\n).-\n', '%1')) end
if without_end(after) ~= without_end(before) then
  commit('ho\n' .. after)
end
refresh(ttl_s)
return {'done', after}
