-- Weighted arbiters: a core router counts for more than a switch in the basement.
--
-- [policy.config]
-- weights = { "203.0.113.1" = 3, "203.0.113.2" = 2 }   -- whole numbers; what is not named counts 1

local function weigh(arbiters, is_counted)
  local weights, sum = dr.policy.config.weights or {}, 0
  for name, seen in pairs(arbiters) do
    local weight = weights[name] or 1
    if math.type(weight) ~= "integer" or weight < 0 then
      error("policy.config.weights: " .. name .. ": found " .. tostring(weight) .. ", expected a whole number from 0")
    end
    if is_counted(seen) then sum = sum + weight end
  end
  return sum
end

local function everything() return true end

local function reaches(weight, total, share)
  return weight * 10000 >= math.floor(share * 10000 + 0.5) * total
end

local function evaluate(ctx)
  local threshold = dr.config.watchdog.failureDetection.threshold
  if ctx.role == "active" then
    local arbiters = dr.arbiters.ping().arbiters
    local total = weigh(arbiters, everything)
    local pinged = weigh(arbiters, function(seen) return seen.ping end)
    local details = { pinged = pinged .. "/" .. total }
    if reaches(pinged, total, threshold.failover) then
      return dr.verdict.nothing("this site reaches enough of what counts", details)
    end
    return dr.verdict.beStandby("this site reaches too little of what counts", details)
  end
  local arbiters = dr.arbiters.sessions().arbiters
  local total = weigh(arbiters, everything)
  local managed = weigh(arbiters, function(seen) return seen.ssh == "ok" and seen.managed end)
  local unseen = weigh(arbiters, function(seen) return seen.ssh ~= "ok" end)
  local details = { managed = managed .. "/" .. total, unseen = unseen .. "/" .. total }
  if total == 0 or ctx.situation ~= "peerLost" then
    return dr.verdict.nothing("an operator decides which site serves", details)
  end
  if not reaches(total - unseen, total, threshold.adjustManaged) then
    return dr.verdict.nothing("too little of what counts could be asked", details)
  end
  -- What is not seen is presumed to be held by the other site.
  if reaches(managed + unseen, total, threshold.failover) then
    return dr.verdict.nothing("the other site may hold enough of what counts", details)
  end
  return dr.verdict.beActive("the other site holds too little of what counts", details)
end

return { evaluate = evaluate }
