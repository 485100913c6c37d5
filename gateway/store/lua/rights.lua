-- Prepended to the scripts that write more than once. Redis breaks a script off at the first command
-- that its user may not run (a right was taken, or forgotten), and keeps the writes before it: a
-- session would lack a part, or a key would stay for ever. So the whole script is refused first.
-- COMMANDS are all commands of the script, each with a key of its call (script.py).

-- Redis before 7 cannot tell.
for _, command in ipairs(redis.acl_check_cmd and COMMANDS or {}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM the user may not run ' .. command[1])
  end
end
