#!/usr/bin/env python3
"""Makes the calls it reads, one JSON line each, at a dealer proxy, and prints each answer as a JSON line.

    dealer_calls.py module|pyzmq tcp://127.0.0.1:6668

A call is {"proc": .., "args": [..], "kwargs": {..}}. `module`: a method of `dealer.Dealer`; `pyzmq`: a REQ socket with
nothing but pyzmq, the request as any old client writes it, the reply as it came. An exception of the module
is printed as the reply it came from: {"EXCEPTION": [class, words, [line, ..]]}.
"""

import json
import pathlib
import sys
from datetime import datetime

PATIENCE_MS = 150_000


def by_module(url):
    sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "scripts" / "python"))
    import dealer

    d = dealer.Dealer(proxy=url)

    def call(proc, args, kwargs):
        try:
            answer = getattr(d, proc)(*args, **kwargs)
        except dealer.RemoteError as error:
            return {"EXCEPTION": [error.kind, error.message, error.trace or [proc]]}
        except ValueError as error:
            return {"EXCEPTION": ["ValueError", str(error), [proc]]}
        if isinstance(answer, datetime):  # the module's face of [true, [y, m, d, h, m, s, us]]
            assert answer.utcoffset() is not None, answer
            return [True, [*answer.utctimetuple()[:6], answer.microsecond]]
        return answer

    return call


def by_pyzmq(url):
    import zmq

    socket = zmq.Context().socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, PATIENCE_MS)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(url)

    def call(proc, args, kwargs):
        socket.send_json({"name": "dealer", "proc": proc, "args": args, "kwargs": kwargs})
        return socket.recv_json()

    return call


def main():
    client, url = sys.argv[1:3]
    call = {"module": by_module, "pyzmq": by_pyzmq}[client](url)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(call(asked["proc"], asked["args"], asked["kwargs"])), flush=True)


if __name__ == "__main__":
    main()
