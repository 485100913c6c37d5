-- Ask which commands the user may not run. Nothing is read or written.
-- needed: of each a command, or `COMMAND SUBCOMMAND`, and a name that it is called for, or ''
-- Returns the positions of those that are missing; nil where Redis cannot tell (before 7)
if not redis.acl_check_cmd then
  return nil
end
local found = {}
for i = 1, #needed, 2 do
  local words = {}
  for word in needed[i]:gmatch('%S+') do
    words[#words + 1] = word
  end
  if needed[i + 1] ~= '' then
    words[#words + 1] = needed[i + 1]
  end
  if not redis.acl_check_cmd(unpack(words)) then
    found[#found + 1] = (i - 1) / 2
  end
end
return found
