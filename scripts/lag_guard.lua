-- Replication-lag guard: a standby whose copy of the data is old, or of unknown age, is not promoted by itself.
--
-- [policy.config]
-- monitor = "pgsqlMonitor"   -- whose word counts, below states
-- lagKey = "lagS"            -- where that monitor writes the lag in seconds, below its "service"
-- maxLagS = 30               -- more is a loss of data that an operator has to accept
-- maxAgeS = 300              -- a monitor's word that is older says nothing

local function reaches(count, total, share)
  return count * 10000 >= math.floor(share * 10000 + 0.5) * total
end

-- Why the data are not good enough; nil if they are.
local function objection(now)
  local config = dr.policy.config
  local name, key = config.monitor or "pgsqlMonitor", config.lagKey or "lagS"
  local most = config.maxLagS or 30
  local state = (dr.config.states or {})[name]
  if not state then return name .. " has not spoken, so the lag is unknown" end
  if not state.msg.state then return name .. " says: " .. state.msg.description end
  if dr.after(state.msg.time, config.maxAgeS or 300) < now then
    return name .. " last spoke at " .. state.msg.time .. ", too long ago"
  end
  local lag = state.service[key]
  if type(lag) ~= "number" then return name .. " says nothing of the lag (" .. key .. ")" end
  if lag > most then return ("the copy is %g s behind, more than %g s"):format(lag, most) end
end

local function evaluate(ctx)
  local threshold = dr.config.watchdog.failureDetection.threshold
  if ctx.role == "active" then
    local seen = dr.arbiters.ping()
    if reaches(seen.reachable, seen.total, threshold.failover) then
      return dr.verdict.nothing("this site reaches enough arbiters")
    end
    return dr.verdict.beStandby("this site reaches too few arbiters, so it may be the one that is cut off")
  end
  local seen = dr.arbiters.sessions()
  local unseen = seen.total - seen.reachable
  if ctx.situation ~= "peerLost" or not reaches(seen.reachable, seen.total, threshold.adjustManaged)
    or reaches(seen.managed + unseen, seen.total, threshold.failover) then
    return dr.verdict.nothing("the other site may still serve")
  end
  local why = objection(ctx.now)
  if why then
    dr.log("warn", "no promotion: " .. why)
    return dr.verdict.nothing("the other site is gone, and this one is not promoted by itself: " .. why, { problem = why })
  end
  return dr.verdict.beActive("the other site is gone and the data here are fresh")
end

return { evaluate = evaluate }
