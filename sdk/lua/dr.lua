---@meta
-- Types of dr-watchdog's Lua policies, for editors that read LuaCATS (lua-language-server).
-- Written by `dr-watchdog policy types DIR`; do not edit. A policy does not load this file.

---What the file of a policy returns.
---@class drw.Policy
---@field evaluate fun(ctx: drw.Context): drw.Verdict Answers one question.
---@field version? string Shown by `policy check` and `health`.

---Options of `dr.ping`.
---@class drw.PingOptions
---@field timeoutMs? integer How long an answer is awaited; default 1000.
---@field retries? integer Tries after the first; default 0, at most 10.

---Options of `dr.tcp` and `dr.ssh`.
---@class drw.CallOptions
---@field timeoutMs? integer Longest time; default 1000 for tcp, 5000 for ssh.

---What the policy wants done.
---@alias drw.Action
---| "beActive" # Change the role to active.
---| "beStandby" # Change the role to standby.
---| "nothing" # Do not change the role.
---| "wait" # Stay in the current role until `payload.waitTime`.

---One arbiter, with the manual's keys.
---@class drw.Arbiter
---@field username string User of the log-in.
---@field password string Password of the log-in; `***` except inside a running policy script.
---@field host string Address or name.
---@field port integer SSH port.
---@field privateKey string Private key of the log-in; wins over the password when not empty.

---Everything seen at one arbiter. `arbiters.ping` fills the first five fields, `arbiters.sessions` the others.
---@class drw.ArbiterEvidence
---@field ping? boolean Whether it answered ping.
---@field rttMs? number Round-trip time of the ping in milliseconds.
---@field lastGood? drw.Utc When it last answered ping.
---@field why? string Why it did not answer ping.
---@field oldAddress? string The address at which it was asked last, where no name server told the present one.
---@field ssh? drw.SshOutcome How the SSH look ended.
---@field sshError? string What went wrong with the SSH look, in a sentence.
---@field sessions? drw.Session[] Established sessions at its SSH port.
---@field managed? boolean Whether one of them is a fresh one of the other site. The host works this out, so that every policy in every language counts the same arbiters.
---@field absentSince? drw.Utc Since when no session of the other site has been seen there.

---When and how many backups are made.
---@class drw.Backup
---@field maxCount integer Backups kept; the oldest goes first.
---@field hoursOfDay string Hours of the day, `*` or a comma-joined list.
---@field daysOfWeek string Days of the week, `*` or a comma-joined list.

---What a policy is told with the question.
---@class drw.Context
---@field role drw.Role The role of this site.
---@field situation drw.Situation Why the policy is asked.
---@field waitTime? drw.Utc End of the wait that is open. Null in `bothStandby` or `waiting` means that the situation starts now: its end is `now` + `waitDuration`.
---@field previous? drw.Verdict The last verdict of this policy in this situation.
---@field deadlineMs integer Milliseconds the evaluation may take, host calls included.
---@field now drw.Utc The instant the question is asked for.

---The other site's nodes. Lists are comma-joined texts, as the manual prints them.
---@class drw.Core
---@field peerVip string Virtual address of the other site's load balancer: the one that heartbeats ping.
---@field adminPass string Encrypted administrator passwords of the other site; shown as `***`.
---@field scpTimeout integer Seconds after which a file transfer counts as failed.
---@field peerLoadBalancerNodes string Load-balancer nodes of the other site, comma-joined: pinged when its VIP is silent.
---@field peerBusinessLogicNodes string Business-logic nodes of the other site, comma-joined.
---@field peerDeviceMgtIps string Addresses from which the other site manages devices, comma-joined.

---Device-management addresses of both sites.
---@class drw.DeviceManagement
---@field peerNodes string Of the other site, comma-joined.
---@field nodes string Of this site, comma-joined.
---@field ip string Of this node: `address,interface`.

---Which policy decides, on what evidence.
---@class drw.FailureDetection
---@field isCustom boolean Whether `script` is the operator's own policy; otherwise the arbitration plugin decides.
---@field script string Path of the policy.
---@field threshold drw.Thresholds The shares at which it moves.
---@field waitDuration string How long the former active may come back while both sites are standby: `8h`, `30m`.
---@field arbiters drw.Arbiter[] The arbiters.

---Backup and restore of configuration and RRD files.
---@class drw.File
---@field backup drw.Backup Backups made here.
---@field restore drw.Restore Backups fetched from the active site.

---Pings between the sites.
---@class drw.Heartbeat
---@field retries integer Tries after the first one failed: 4 makes 5 pings in all.
---@field timeout drw.Seconds Seconds a reply is awaited.
---@field interval drw.Seconds Seconds from one round to the next.

---What is particular to the heartbeat service.
---@class drw.HeartbeatService
---@field booting boolean Whether the site is booting; no decision falls before `bootEndTime`.
---@field bootEndTime? drw.Utc End of the boot time.
---@field waitTime? drw.Utc End of the wait that is open.
---@field automaticFailover boolean Whether automatic failover is on.
---@field automaticFailoverEndTime? drw.Utc When a disabled automatic failover comes back; null = never by itself, or it is on.
---@field now? drw.Utc The instant for which the policy is asked (present only in what a policy sees).
---@field situation? drw.Situation Why the policy is asked (present only in what a policy sees).

---The state of one service.
---@class drw.HeartbeatState
---@field progress string What the service is doing now: `idle`, `running` or `unknown`.
---@field msg drw.Message Its last message.
---@field service drw.HeartbeatService What is particular to the service.

---The kind of failover that happened last at this site.
---@alias drw.LastFailover
---| "" # None yet.
---| "active_to_standby" # This site was active and became standby: it is the last active of this site's memory.
---| "standby_to_active" # This site was standby and became active.

---The last message of a service.
---@class drw.Message
---@field service string The service's name.
---@field description string What is wrong, in a sentence; empty when all is well.
---@field state boolean True when all is well.
---@field force boolean Sent despite damping; always false here.
---@field progress string Progress stored with the message; `unknown` in all the manual's samples.
---@field payload table `{"code": 0}`, or `{"localFailover": false}` for the heartbeat.
---@field time drw.Utc When it was said.

---The other site's MySQL nodes.
---@class drw.Mysql
---@field hasDedicatedDb boolean Whether the other site has nodes for the database alone.
---@field peerVip string Virtual address of the other site's database nodes.
---@field peerNodes string Database nodes of the other site, comma-joined.

---Mail to the administrator.
---@class drw.Notification
---@field email string Recipient; empty sends nothing.
---@field interval drw.Seconds Seconds for which the same error is not mailed again.

---What goes with the action.
---@class drw.Payload
---@field waitTime string The end of the wait, a UTC instant; empty unless the action is `wait`.
---@field details? table Whatever helps to understand the verdict later.

---The other site's PostgreSQL nodes.
---@class drw.Pgsql
---@field hasFmpm boolean Whether the other site has specialised monitoring nodes.
---@field peerFmpmVip string Virtual address of the other site's PostgreSQL nodes.
---@field peerNodes string PostgreSQL nodes of the other site, comma-joined.

---The answer of `ping` for one host.
---@class drw.PingAnswer
---@field ping boolean Whether it answered.
---@field rttMs? number Round-trip time in milliseconds.
---@field why? string Why it did not answer.

---The answer of `arbiters.ping`.
---@class drw.PingReport
---@field time drw.Utc When the evidence was complete.
---@field role drw.Role The role of this site.
---@field total integer Configured arbiters.
---@field reachable integer Arbiters that answered ping.
---@field warning boolean Whether the share of them is below `threshold.warning`.
---@field arbiters table<string, drw.ArbiterEvidence> By name.

---When backups are fetched from the active site.
---@class drw.Restore
---@field hoursOfDay string Hours of the day, `*` or a comma-joined list.
---@field daysOfWeek string Days of the week, `*` or a comma-joined list.

---The disaster-recovery role of a site.
---@alias drw.Role
---| "active" # It serves.
---| "standby" # It stands by.
---| "standalone" # It is no half of a pair: disaster recovery is not set up, or was reset.

---A span in seconds
---@alias drw.Seconds number

---All sections of one site.
---@class drw.Sections
---@field role? drw.Role The role of this site.
---@field failover? drw.LastFailover The kind of failover that happened last.
---@field core? drw.Core The other site's nodes.
---@field mysql? drw.Mysql The other site's MySQL.
---@field pgsql? drw.Pgsql The other site's PostgreSQL.
---@field file? drw.File Backup and restore of configuration and RRD files.
---@field watchdog? drw.Watchdog The watchdog's own settings.
---@field deviceManagement? drw.DeviceManagement Addresses from which devices are managed.
---@field states? drw.States What the services of the watchdog last said.

---The state of one service.
---@class drw.ServiceState
---@field progress string What the service is doing now: `idle`, `running` or `unknown`.
---@field msg drw.Message Its last message.
---@field service table What is particular to the service.

---One established TCP session between the arbiter's SSH port and somebody.
---@class drw.Session
---@field from string Address of the other end.
---@field ageMs? integer Milliseconds since the arbiter last received something on it, or since a count of that was last seen to move; null where the device shows neither.

---The answer of `arbiters.sessions`.
---@class drw.SessionsReport
---@field time drw.Utc When the evidence was complete.
---@field role drw.Role The role of this site.
---@field total integer Configured arbiters.
---@field reachable integer Arbiters whose SSH look succeeded.
---@field managed integer Arbiters that the other site manages.
---@field arbiters table<string, drw.ArbiterEvidence> By name.

---Why a policy is asked.
---@alias drw.Situation
---| "peerLost" # Neither the VIP nor a load-balancer node of the other site answers.
---| "bothStandby" # The other site answers and is standby, and so is this one.
---| "waiting" # A wait that was granted has not been resolved: the other site is silent.

---The answer of `ssh`: either what the command did, or why it did not run.
---@class drw.SshAnswer
---@field exit? integer Its exit status.
---@field stdout? string Its output.
---@field stderr? string Its error output.
---@field error? drw.SshOutcome Which step failed.
---@field message? string In a sentence.

---How an SSH look at an arbiter ended.
---@alias drw.SshOutcome
---| "ok" # Logged in, asked, understood the answer.
---| "dns" # The name did not resolve.
---| "unreachable" # No TCP connection.
---| "handshake" # The SSH handshake failed.
---| "hostkey" # The host key is not the pinned one.
---| "auth" # The log-in was refused.
---| "exec" # The command could not be run, or failed.
---| "parse" # The answer was not understood.
---| "timeout" # No answer by the deadline.

---The states of the seven services; one that never ran is absent.
---@class drw.States
---@field arbiterMonitor? drw.ServiceState Arbiters that answer ping.
---@field configMonitor? drw.ServiceState Configuration files across the nodes.
---@field fileMonitor? drw.ServiceState Replication of configuration and RRD files.
---@field heartbeat? drw.HeartbeatState The heartbeat between the sites; its `service` is a `HeartbeatService`.
---@field mysqlMonitor? drw.ServiceState MySQL replication.
---@field pgsqlMonitor? drw.ServiceState PostgreSQL replication.
---@field serviceMonitor? drw.ServiceState Services of this site.

---The answer of `tcp`.
---@class drw.TcpAnswer
---@field open boolean Whether a connection was made.
---@field elapsedMs? number How long it took, in milliseconds.
---@field why? string Why none was made.

---A share with at most 4 decimals
---@alias drw.Threshold number

---Shares of arbiters.
---@class drw.Thresholds
---@field failover drw.Threshold Below this share of managed (standby) or pinged (active) arbiters a role change is wanted.
---@field adjustManaged drw.Threshold Below this share of arbiters reached by SSH there is too little evidence. Left out: 0.5, or `failover` where that is lower.
---@field warning drw.Threshold Below this share of pinged arbiters the administrator is warned.

---UTC instant, written 2026-01-01T00:00:00+00:00
---@alias drw.Utc string

---A policy's answer.
---@class drw.Verdict
---@field state drw.VerdictState The current role of the site, as the policy understood it.
---@field action drw.Action What the policy wants done.
---@field description string One sentence on why; it is what an operator reads in the mail. May be empty.
---@field payload drw.Payload The end of a wait, and details.

---The role a verdict speaks for; it must equal the role of the site.
---@alias drw.VerdictState
---| "active" # The site is active.
---| "standby" # The site is standby.

---The watchdog's own settings at this site.
---@class drw.Watchdog
---@field heartbeat drw.Heartbeat Pings between the sites.
---@field notification drw.Notification Mail to the administrator.
---@field failureDetection drw.FailureDetection Which policy decides, on what evidence.

---The host: everything a policy may ask.
---@class drw.Dr
---@field config drw.Sections The sections, read-only; one without data is nil, a key that does not exist is an error.
---@field policy drw.Own The policy's own part of the configuration.
---@field arbiters drw.Arbiters
---@field state drw.State
---@field verdict drw.Verdicts
dr = {}

---@class drw.Own
---@field config table What `[policy.config]` holds.

---What was seen at the arbiters before the policy was asked: it costs nothing.
---@class drw.Arbiters
dr.arbiters = {}

---Which arbiters answer ping.
---@return drw.PingReport
function dr.arbiters.ping() end

---Which arbiters could be logged in to, and which of them the other site manages.
---@return drw.SessionsReport
function dr.arbiters.sessions() end

---Pings hosts of your own choice, all at once; needs the grant "ping".
---@param hosts string[] At most 64.
---@param opts? drw.PingOptions
---@return table<string, drw.PingAnswer> answers By host; a network failure is an answer.
function dr.ping(hosts, opts) end

---Tries a TCP connection; needs the grant "tcp".
---@param address string host:port
---@param opts? drw.CallOptions
---@return drw.TcpAnswer
function dr.tcp(address, opts) end

---Runs a command at an arbiter; needs the grant "ssh".
---@param arbiter string Its name, as `dr.arbiters` has it.
---@param command string
---@param opts? drw.CallOptions
---@return drw.SshAnswer
function dr.ssh(arbiter, command, opts) end

---A value of the policy's own, kept over restarts; at most 64 KiB of JSON.
---@class drw.State
dr.state = {}

---What was put last; nil before the first time.
---@return any
function dr.state.get() end

---@param value any Tables, texts, numbers, booleans, nil.
function dr.state.put(value) end

---Writes a log line under the policy's name; at most 200 in one evaluation.
---@param level "debug"|"info"|"warn"|"error"
---@param text string
---@param fields? table
function dr.log(level, text, fields) end

---The instant the question is asked for.
---@return drw.Utc
function dr.now() end

---Milliseconds until the deadline.
---@return integer
function dr.remaining_ms() end

---The instant so many seconds later. Instants compare as texts.
---@param instant drw.Utc
---@param seconds integer From 0.
---@return drw.Utc
function dr.after(instant, seconds) end

---Seconds of a duration as the configuration writes it ("8h", "30m"); nil is for ever ("0").
---@param text string
---@return integer?
function dr.duration(text) end

---Builds verdicts with the right `state`.
---@class drw.Verdicts
dr.verdict = {}

---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.beActive(description, details) end

---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.beStandby(description, details) end

---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.nothing(description, details) end

---@param until_time drw.Utc End of the wait.
---@param description string Why, in one sentence.
---@param details? table
---@return drw.Verdict
function dr.verdict.wait(until_time, description, details) end
