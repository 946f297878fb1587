#!/usr/bin/env python3
"""Device arbitration in Python: the rules of the default policy as a script.

The sections come as one JSON object on standard input, evidence from `dr-watchdog arbiters ping|sessions --json`,
and the verdict leaves as one JSON object on standard output. Any Python 3 will do, with no package installed.
"""

import datetime
import json
import re
import subprocess
import sys

FOR_EVER = "9999-12-31T23:59:59+00:00"
MINUTES_MAX = 100 * 366 * 24 * 60
INSTANT = "%Y-%m-%dT%H:%M:%S+00:00"


def reaches(count, total, threshold):
    """Exact at equality: whole numbers are compared, never 0.7. `>=` keeps, `<` moves."""
    return count * 10000 >= round(threshold * 10000) * total


def nobody_serves(f):
    return f["role"] == "standby" and f["situation"] != "peerLost"


# Name, what it means, when it applies, what it wants done, whether an operator is needed. The first one decides.
RULES = [
    (
        "noArbiters",
        "no arbiters are configured, so nothing can be decided: configure arbiters, or change the role by hand",
        lambda f: f["total"] == 0,
        "nothing",
        True,
    ),
    (
        "lastActiveReturns",
        "both sites are standby, this one was the last active and reaches enough arbiters: it becomes active again",
        lambda f: f["role"] == "standby"
        and f["situation"] == "bothStandby"
        and f["wasLastActive"]
        and reaches(f["pinged"], f["total"], f["failover"]),
        "beActive",
        False,
    ),
    (
        "waitForLastActive",
        "nobody serves, and the grace period for the last active site is not over: this site waits",
        # Instants compare as text: all of them are written YYYY-MM-DDTHH:MM:SS+00:00.
        lambda f: nobody_serves(f) and f["now"] < f["waitUntil"],
        "wait",
        False,
    ),
    (
        "graceIsOver",
        "nobody serves, and the grace period for the last active site is over: "
        "an operator decides which site serves",
        nobody_serves,
        "nothing",
        True,
    ),
    (
        "activeReachesArbiters",
        "the other site is silent and this one reaches enough arbiters: it stays active",
        lambda f: f["role"] == "active" and reaches(f["pinged"], f["total"], f["failover"]),
        "nothing",
        False,
    ),
    (
        "activeIsCutOff",
        "the other site is silent and this one reaches too few arbiters, "
        "so it may be the one that is cut off: it becomes standby",
        lambda f: f["role"] == "active",
        "beStandby",
        False,
    ),
    (
        "activeManages",
        "the other site manages enough arbiters, so it serves: this one stays standby",
        lambda f: reaches(f["managed"], f["total"], f["failover"]),
        "nothing",
        False,
    ),
    (
        "tooLittleEvidence",
        "too few arbiters could be logged in to, so this site may be the one that is cut off: it stays standby",
        lambda f: not reaches(f["total"] - f["unreachable"], f["total"], f["adjustManaged"]),
        "nothing",
        False,
    ),
    (
        "unreachableCountAsManaged",
        "with the unreachable arbiters presumed managed the other site may still serve: this one stays standby",
        lambda f: reaches(f["managed"] + f["unreachable"], f["total"], f["failover"]),
        "nothing",
        False,
    ),
    (
        "activeIsGone",
        "the other site is silent and manages too few arbiters even if the unreachable ones are presumed managed: "
        "this one becomes active",
        lambda f: True,
        "beActive",
        False,
    ),
]


def arbiters(what):
    """What `arbiters.ping` or `arbiters.sessions` answers, by arbiter."""
    done = subprocess.run(["dr-watchdog", "arbiters", what, "--json"], stdout=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit("ERROR: dr-watchdog arbiters {} ended with status {}".format(what, done.returncode))
    return json.loads(done.stdout.decode("utf-8"))["arbiters"].values()


def seconds(duration):
    """`30m`, `8h`, `2` (hours), at most a hundred years; None for any zero, which means for ever."""
    written = re.fullmatch("0*([0-9]{1,9})([hm]?)", duration)
    minutes = written and int(written.group(1)) * (1 if written.group(2) == "m" else 60)
    if minutes is None or minutes > MINUTES_MAX:
        sys.exit("ERROR: watchdog.failureDetection.waitDuration: {!r} is no duration".format(duration))
    return minutes * 60 or None


def wait_until(role, question, detection):
    """A grace period that is open ends at waitTime; otherwise it begins now."""
    if question.get("waitTime"):
        return question["waitTime"]
    if role != "standby" or question["situation"] == "peerLost":
        return FOR_EVER
    span = seconds(detection.get("waitDuration", "8h"))
    if span is None:
        return FOR_EVER
    now = datetime.datetime.strptime(question["now"], INSTANT)
    try:
        return (now + datetime.timedelta(seconds=span)).strftime(INSTANT)
    except OverflowError:
        return FOR_EVER


def gather(sections):
    """Everything that the rules look at."""
    role = sections.get("role")
    question = sections["states"]["heartbeat"]["service"]
    detection = sections.get("watchdog", {}).get("failureDetection", {})
    threshold = detection.get("threshold", {})
    facts = {
        "role": role,
        "situation": question["situation"],
        "now": question["now"],
        "waitUntil": wait_until(role, question, detection),
        "wasLastActive": sections.get("failover") == "active_to_standby",
        "failover": threshold.get("failover", 0.5),
        "adjustManaged": threshold.get("adjustManaged", min(0.5, threshold.get("failover", 0.5))),
    }
    if role != "standby" or question["situation"] == "bothStandby":
        seen = list(arbiters("ping"))
        facts["total"] = len(seen)
        facts["pinged"] = sum(one.get("ping") is True for one in seen)
    if role == "standby":
        seen = list(arbiters("sessions"))
        facts["total"] = len(seen)
        facts["managed"] = sum(one.get("ssh") == "ok" and one.get("managed") is True for one in seen)
        facts["unreachable"] = sum(one.get("ssh") != "ok" for one in seen)
    if facts["total"] and role not in ("active", "standby"):
        sys.exit("ERROR: this site is {}, so there is no other site to arbitrate with".format(role))
    return facts


def decide(facts):
    """The verdict of the first rule that applies."""
    name, sentence, _, action, is_problem = next(rule for rule in RULES if rule[2](facts))
    counts = [key for key in ("pinged", "managed", "unreachable") if key in facts]
    details = {"rule": name, "shares": {key: "{}/{}".format(facts[key], facts["total"]) for key in counts}}
    if is_problem:
        details["problem"] = sentence
    return {
        "state": "active" if facts["role"] == "active" else "standby",
        "action": action,
        "description": sentence,
        "payload": {"waitTime": facts["waitUntil"] if action == "wait" else "", "details": details},
    }


if __name__ == "__main__":
    print(json.dumps(decide(gather(json.load(sys.stdin)))))
