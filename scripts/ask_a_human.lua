-- Ask a human: where a machine would promote itself, this one waits, says so, and leaves the word to an operator.
--
-- [policy.config]
-- patience = "30m"        -- how long an operator may take
-- thenPromote = false     -- true: whoever says nothing agrees

local ASK = "the other site is silent and holds too few arbiters. Look at it; if it is down, run `dr-watchdog manualFailover -a` here"

local function reaches(count, total, share)
  return count * 10000 >= math.floor(share * 10000 + 0.5) * total
end

local function peer_is_gone()
  local threshold = dr.config.watchdog.failureDetection.threshold
  local seen = dr.arbiters.sessions()
  local unseen = seen.total - seen.reachable
  return reaches(seen.reachable, seen.total, threshold.adjustManaged)
    and not reaches(seen.managed + unseen, seen.total, threshold.failover)
end

local function standby(ctx)
  if ctx.situation == "bothStandby" then
    return dr.verdict.nothing("both sites are standby: an operator decides which one serves", { problem = "nobody serves" })
  end
  if not peer_is_gone() then
    return dr.verdict.nothing("the other site may still serve")
  end
  local until_time = ctx.waitTime
  if ctx.situation == "peerLost" then
    local patience = dr.duration(dr.policy.config.patience or "30m")
    until_time = patience and dr.after(ctx.now, patience) or "9999-12-31T23:59:59+00:00"
  end
  if until_time and ctx.now < until_time then
    return dr.verdict.wait(until_time, ASK .. "; asked until " .. until_time, { problem = "an operator is asked" })
  end
  if dr.policy.config.thenPromote then
    return dr.verdict.beActive("nobody objected in time, and the other site is still gone")
  end
  return dr.verdict.nothing(ASK .. "; nobody answered in time", { problem = "an operator was asked, and did not answer" })
end

local function evaluate(ctx)
  if ctx.role == "standby" then return standby(ctx) end
  local seen = dr.arbiters.ping()
  if reaches(seen.reachable, seen.total, dr.config.watchdog.failureDetection.threshold.failover) then
    return dr.verdict.nothing("this site reaches enough arbiters")
  end
  -- Standing down is safe without asking anybody.
  return dr.verdict.beStandby("this site reaches too few arbiters, so it may be the one that is cut off")
end

return { evaluate = evaluate }
