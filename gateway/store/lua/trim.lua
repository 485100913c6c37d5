-- Trim what is older than the reconnect window, but nothing of a run under way.
-- Returns how many records went, or `newer`
if is_newer(redis.call('HGET', META, 'format')) then
  return 'newer'
end
return trim_to(string.format('%.0f', now_ms() - window_ms), open_lanes())
