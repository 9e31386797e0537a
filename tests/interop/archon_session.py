#!/usr/bin/env python3
"""Drives a CCD host through its JSON face with pyzmq, and prints what it saw as JSON.

    archon_session.py tcp://127.0.0.1:6669

Expects configured, powered controllers. Exit status 0 when every check holds; the names of those that do not are under
"failed".
"""

import json
import os
import sys

import zmq

from dealer_client import Proxy, RemoteError

url = sys.argv[1]
context = zmq.Context()
archon = Proxy(context, url, "archon", timeout_s=60.0)
one = Proxy(context, url, "archon.sp1", timeout_s=60.0)
checks, seen = {}, {}

checks["methods are listed"] = {"expose", "status", "abort", "recover"} <= set(archon.methods)
checks["a controller has its own"] = "status" in one.methods and "recover" not in one.methods

seen["status"] = archon.call("status", simple=True)
checks["status of both"] = set(seen["status"]) == {"sp1", "sp2"}

seen["expose"] = reply = archon.call("expose", flavour="bias", header={"OBSERVER": "pyzmq"})
checks["files are there"] = len(reply["filenames"]) == 4 and all(map(os.path.isfile, reply["filenames"]))

number = archon.call("next_exposure")
seen["next"] = number

try:
    archon.call("expose", flavour="object")
    checks["an object needs a time"] = False
except RemoteError as error:
    checks["an object needs a time"] = "Exposure time required" in str(error)

try:
    archon.call("status", controller="nowhere")
    checks["an unknown controller is refused"] = False
except RemoteError as error:
    checks["an unknown controller is refused"] = "Invalid controller 'nowhere'" in str(error)

failed = [name for name, holds in checks.items() if not holds]
print(json.dumps({"seen": seen, "failed": failed}, default=str))
context.destroy(linger=0)
sys.exit(bool(failed))
