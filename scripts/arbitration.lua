-- Device arbitration in Lua: the rules of the default policy, to read, to copy, to change.
--
-- The table below is tried from the top; the first row that applies decides. Shares are compared in whole
-- numbers, count * 10000 against threshold * 10000 * total, because 0.7 has no exact binary form and a comparison
-- that is wrong at equality is a wrong failover. `>=` keeps things as they are, `<` moves.

local FOR_EVER = "9999-12-31T23:59:59+00:00"

local function reaches(count, total, threshold)
  return count * 10000 >= math.floor(threshold * 10000 + 0.5) * total
end

local function count(arbiters, is_counted)
  local counted = 0
  for _, seen in pairs(arbiters) do
    if is_counted(seen) then counted = counted + 1 end
  end
  return counted
end

local function nobody_serves(f)
  return f.role == "standby" and f.situation ~= "peerLost"
end

-- Each row: its name, what it means, when it applies, what it wants done. `problem` calls for an operator.
local RULES = {
  {
    name = "noArbiters", action = "nothing", problem = true,
    sentence = "no arbiters are configured, so nothing can be decided: configure arbiters, or change the role by hand",
    applies = function(f) return f.total == 0 end,
  },
  {
    name = "lastActiveReturns", action = "beActive",
    sentence = "both sites are standby, this one was the last active and reaches enough arbiters: it becomes active again",
    applies = function(f)
      return f.role == "standby" and f.situation == "bothStandby" and f.was_last_active
        and reaches(f.pinged, f.total, f.failover)
    end,
  },
  {
    name = "waitForLastActive", action = "wait",
    sentence = "nobody serves, and the grace period for the last active site is not over: this site waits",
    -- Instants compare as text: all of them are written YYYY-MM-DDTHH:MM:SS+00:00.
    applies = function(f) return nobody_serves(f) and f.now < f.wait_until end,
  },
  {
    name = "graceIsOver", action = "nothing", problem = true,
    sentence = "nobody serves, and the grace period for the last active site is over: an operator decides which site serves",
    applies = nobody_serves,
  },
  {
    name = "activeReachesArbiters", action = "nothing",
    sentence = "the other site is silent and this one reaches enough arbiters: it stays active",
    applies = function(f) return f.role == "active" and reaches(f.pinged, f.total, f.failover) end,
  },
  {
    name = "activeIsCutOff", action = "beStandby",
    sentence = "the other site is silent and this one reaches too few arbiters, so it may be the one that is cut off: it becomes standby",
    applies = function(f) return f.role == "active" end,
  },
  {
    name = "activeManages", action = "nothing",
    sentence = "the other site manages enough arbiters, so it serves: this one stays standby",
    applies = function(f) return reaches(f.managed, f.total, f.failover) end,
  },
  {
    name = "tooLittleEvidence", action = "nothing",
    sentence = "too few arbiters could be logged in to, so this site may be the one that is cut off: it stays standby",
    applies = function(f) return not reaches(f.total - f.unreachable, f.total, f.adjust_managed) end,
  },
  {
    name = "unreachableCountAsManaged", action = "nothing",
    sentence = "with the unreachable arbiters presumed managed the other site may still serve: this one stays standby",
    applies = function(f) return reaches(f.managed + f.unreachable, f.total, f.failover) end,
  },
  {
    name = "activeIsGone", action = "beActive",
    sentence = "the other site is silent and manages too few arbiters even if the unreachable ones are presumed managed: this one becomes active",
    applies = function() return true end,
  },
}

-- Where a grace period is open it ends at ctx.waitTime; otherwise it begins now.
local function wait_until(ctx, detection)
  if ctx.waitTime then return ctx.waitTime end
  if ctx.role ~= "standby" or ctx.situation == "peerLost" then return FOR_EVER end
  local seconds = dr.duration(detection.waitDuration or "8h")
  return seconds and dr.after(ctx.now, seconds) or FOR_EVER
end

-- What the role and the situation call for: pings where pings are weighed, sessions at a standby.
local function gather(ctx, facts, shares)
  if ctx.role ~= "standby" or ctx.situation == "bothStandby" then
    local report = dr.arbiters.ping()
    facts.total = count(report.arbiters, function() return true end)
    facts.pinged = count(report.arbiters, function(seen) return seen.ping == true end)
    shares.pinged = facts.pinged .. "/" .. facts.total
  end
  if ctx.role == "standby" then
    local report = dr.arbiters.sessions()
    facts.total = count(report.arbiters, function() return true end)
    facts.managed = count(report.arbiters, function(seen) return seen.ssh == "ok" and seen.managed == true end)
    facts.unreachable = count(report.arbiters, function(seen) return seen.ssh ~= "ok" end)
    shares.managed = facts.managed .. "/" .. facts.total
    shares.unreachable = facts.unreachable .. "/" .. facts.total
  end
end

local function evaluate(ctx)
  local watchdog = dr.config.watchdog or {}
  local detection = watchdog.failureDetection or {}
  local threshold = detection.threshold or {}
  local failover = threshold.failover or 0.5
  local facts = {
    role = ctx.role,
    situation = ctx.situation,
    now = ctx.now,
    wait_until = wait_until(ctx, detection),
    was_last_active = dr.config.failover == "active_to_standby",
    failover = failover,
    adjust_managed = threshold.adjustManaged or math.min(0.5, failover),
    total = 0, pinged = 0, managed = 0, unreachable = 0,
  }
  local shares = {}
  gather(ctx, facts, shares)
  if facts.total > 0 and ctx.role ~= "active" and ctx.role ~= "standby" then
    error("this site is " .. tostring(ctx.role) .. ", so there is no other site to arbitrate with")
  end
  for _, rule in ipairs(RULES) do
    if rule.applies(facts) then
      local details = { rule = rule.name, shares = shares }
      if rule.problem then details.problem = rule.sentence end
      if rule.action == "wait" then
        return dr.verdict.wait(facts.wait_until, rule.sentence, details)
      end
      return dr.verdict[rule.action](rule.sentence, details)
    end
  end
end

return { evaluate = evaluate }
