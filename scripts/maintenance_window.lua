-- Maintenance windows: inside one nobody is promoted; outside, a strict arbitration decides.
--
-- [policy.config]
-- windows = [{ from = "01:00", to = "03:00" }, { from = "23:30", to = "00:15", days = "67" }]   -- UTC; 1 = Monday

local function reaches(count, total, share)
  return count * 10000 >= math.floor(share * 10000 + 0.5) * total
end

-- The day of the week of an instant, 1 = Monday to 7 = Sunday (Sakamoto's method).
local function weekday(instant)
  local year, month, day = instant:match("^(%d+)-(%d+)-(%d+)T")
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  if month < 3 then year = year - 1 end
  local offset = ({ 0, 3, 2, 5, 0, 3, 5, 1, 4, 6, 2, 4 })[month]
  return (year + year // 4 - year // 100 + year // 400 + offset + day - 1) % 7 + 1
end

-- The window that is open now. One over midnight belongs to the day on which it began.
local function open_window(now)
  local time, today = now:sub(12, 16), weekday(now)
  for _, window in ipairs(dr.policy.config.windows or {}) do
    local day = today
    local is_inside = window.from <= time and time < window.to
    if window.from > window.to then
      is_inside = window.from <= time or time < window.to
      if time < window.to then day = (today + 5) % 7 + 1 end
    end
    if is_inside and (window.days or "1234567"):find(tostring(day), 1, true) then return window end
  end
end

local function evaluate(ctx)
  local threshold = dr.config.watchdog.failureDetection.threshold
  if ctx.role == "active" then
    -- Standing down harms nobody: it is weighed in a window too.
    local seen = dr.arbiters.ping()
    if reaches(seen.reachable, seen.total, threshold.failover) then
      return dr.verdict.nothing("this site reaches enough arbiters")
    end
    return dr.verdict.beStandby("this site reaches too few arbiters, so it may be the one that is cut off")
  end
  local window = open_window(ctx.now)
  if window then
    return dr.verdict.nothing("maintenance from " .. window.from .. " to " .. window.to .. " UTC: nobody is promoted")
  end
  local seen = dr.arbiters.sessions()
  local unseen = seen.total - seen.reachable
  if ctx.situation == "peerLost" and reaches(seen.reachable, seen.total, threshold.adjustManaged)
    and not reaches(seen.managed + unseen, seen.total, threshold.failover) then
    return dr.verdict.beActive("the other site is silent and holds too few arbiters", { managed = seen.managed })
  end
  return dr.verdict.nothing("the other site may still serve")
end

return { evaluate = evaluate }
