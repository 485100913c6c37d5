-- Prepended to every script that writes a session, before all else; append.lua, which is too hot
-- for it, has its comparison inline. WRITE_FORMAT comes from format.py, which explains formats.

-- Whether a session's `format` (in its meta; absent: 1) is above what this gateway writes. The
-- script answers `newer` then, and writes nothing.
local function is_newer(format)
  return format and (tonumber(format) or math.huge) > WRITE_FORMAT
end
