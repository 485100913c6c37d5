-- Prepended to the scripts by which runs end and begin, after steers.lua.

-- Give back one steer, or those of all runs but `current`: to the front of the queue, or to their
-- senders. `is_told`: the sender of the one is told at once.
local function give_back(reason, current, only, is_told)
  local place = fact('taken') == '' and 1 or 2 -- the entry that is taken stays in front
  for _, id in ipairs(ids_of('steers')) do
    local its_run, step, its_hash, its_size, key, at, back, its_by = header_of_steer(id)
    local its_content = fact('s|' .. id .. '|')
    local waits_on = only and id ~= only or not only and its_run == current
    if not waits_on and is_taken_up(id, its_run) then
      decide(id, 'delivered ' .. step)
    elseif not waits_on then
      decide(id, 'not-delivered ' .. reason)
      local to_sender = back == '1'
      if not (is_told and to_sender) then -- else its sender has it
        put_entry(id, its_content, 1, its_hash, its_size, '', key, at, its_by)
        local list = ids_of(to_sender and 'unsent' or 'queue')
        if to_sender then
          list[#list + 1] = id .. ' steer_not_delivered'
          keep_unsent(list)
        else
          table.insert(list, place, id)
          keep_ids('queue', list)
          place = place + 1
        end
        commit_queue(id)
      end
    end
  end
end
