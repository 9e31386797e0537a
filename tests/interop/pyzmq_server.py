#!/usr/bin/env python3
"""A REP server on libzmq that answers the way a single-threaded Python server does: one socket, one
thread, JSON in and JSON out. The partner of the benchmarks; it knows nothing but `list_methods`,
`get_status` and `scan_status`.

    pyzmq_server.py [tcp://127.0.0.1:PORT]        prints `ready tcp://...` and serves until killed

With --raw it skips JSON altogether and returns a constant: what libzmq alone can do.
"""

import json
import sys

import zmq

METHODS = [["get_status", "Status keys and their values."], ["scan_status", "Whether a scan is running."]]
STATUS = {"NETSTAT": "receiving", "DISKSTAT": "recording", "SCANLEN": "30.0"}


def get_status(keys=None):
    if keys is None:
        return STATUS
    return STATUS.get(keys) if isinstance(keys, str) else {key: STATUS[key] for key in keys}


def scan_status():
    return [False, "Scan is not running", "NETSTAT=waiting", "DISKSTAT=waiting"]


CALLS = {"get_status": get_status, "scan_status": scan_status}


def answer(request):
    if request["proc"] == "list_methods":
        return METHODS
    try:
        return CALLS[request["proc"]](*request["args"], **request["kwargs"])
    except Exception as error:
        return {"EXCEPTION": [type(error).__name__, str(error), []]}


def main():
    arguments = [a for a in sys.argv[1:] if a != "--raw"]
    raw = "--raw" in sys.argv
    socket = zmq.Context().socket(zmq.REP)
    url = arguments[0] if arguments else "tcp://127.0.0.1:*"
    socket.bind(url)
    print("ready", socket.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
    constant = json.dumps(scan_status()).encode()
    while True:
        body = socket.recv()
        socket.send(constant if raw else json.dumps(answer(json.loads(body))).encode())


if __name__ == "__main__":
    main()
