-- Prepended to the scripts that write more than once. Redis breaks a script off at the first command
-- that its user may not run (a right was taken, or forgotten), and keeps what it has written till
-- then: a session that lacks a part, or a key that stays for ever. So all of it is refused before.
-- COMMANDS are all that it calls, each with a name that it is called for (script.py).

-- Redis before 7 cannot tell.
for _, command in ipairs(redis.acl_check_cmd and COMMANDS or {}) do
  if not redis.acl_check_cmd(unpack(command)) then
    return redis.error_reply('NOPERM the user may not run ' .. command[1])
  end
end
