#!/usr/bin/env python3
"""An old script in Python: it asks for the JSON, logs in to every arbiter by itself and prints a verdict.

The host keys of the arbiters lie in known_hosts beside this file.
"""
import json
import os
import subprocess
import tempfile

config = json.loads(subprocess.check_output(["jmp-dr", "api", "v1", "config", "–include=role, core, watchdog"]))
role, peer = config["role"], config["core"]["peerVip"]
known = os.path.join(os.path.dirname(os.path.abspath(__file__)), "known_hosts")
arbiters = config["watchdog"]["failureDetection"]["arbiters"]
reached = managed = 0
for arbiter in arbiters:
    with tempfile.NamedTemporaryFile("w") as key:
        key.write(arbiter["privateKey"] + "\n")
        key.flush()
        ssh = ["ssh", "-n", "-i", key.name, "-p", str(arbiter["port"]), "-o", "BatchMode=yes", "-o", "ConnectTimeout=3"]
        ssh += ["-o", "UserKnownHostsFile=" + known, arbiter["username"] + "@" + arbiter["host"]]
        seen = subprocess.run(ssh + ["ss -Htn 'sport = :22'"], stdout=subprocess.PIPE)
    reached += seen.returncode == 0
    managed += seen.returncode == 0 and peer in seen.stdout.decode()
action = "nothing"
if role == "active" and reached == 0:
    action = "beStandby"
elif role == "standby" and arbiters and reached == len(arbiters) and managed == 0:
    action = "beActive"
why = "python: {} of {} arbiters reached, {} managed".format(reached, len(arbiters), managed)
print(json.dumps({"state": role, "action": action, "description": why, "payload": {"waitTime": ""}}))
