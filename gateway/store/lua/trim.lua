-- Trim records before the reconnect window, except those of runs under way. Returns the number of
-- trimmed records, or `newer`
if is_newer(redis.call('HGET', META, 'format')) then
  return 'newer'
end
return trim_to(string.format('%.0f', now_ms() - window_ms), open_lanes())
