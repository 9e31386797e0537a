#!/usr/bin/env python3
"""One observation of all players through a dealer proxy, with nothing but pyzmq.

    proxy_observer.py tcp://127.0.0.1:6668 CODD_MODE_64

Prints how many players took part. Exit status 0 when every answer is what it should be.
"""

import sys

import zmq


def main():
    url, mode = sys.argv[1:3]
    socket = zmq.Context().socket(zmq.REQ)
    socket.connect(url)
    socket.setsockopt(zmq.RCVTIMEO, 150_000)
    socket.setsockopt(zmq.LINGER, 0)

    def call(proc, *args, interface="dealer", **kwargs):
        socket.send_json({"name": interface, "proc": proc, "args": list(args), "kwargs": kwargs})
        reply = socket.recv_json()
        assert not (isinstance(reply, dict) and "EXCEPTION" in reply), (proc, reply)
        return reply

    def every(proc, *args, **kwargs):
        reply = call(proc, *args, **kwargs)
        assert sorted(reply) == players, (proc, reply)
        bad = {p: e for p, e in reply.items() if isinstance(e, list) and e and e[0] is False}
        assert not bad, (proc, bad)
        return reply

    players = call("list_available_players")
    assert players == sorted(players)
    methods = [name for name, _ in call("list_methods")]
    assert {"set_mode", "start", "wait_for_scan", "snapshot"} <= set(methods), methods
    every("set_mode", mode, False, True)
    assert call("get_mode") == [True, mode]
    every("set_param", scan_length=30.0)
    every("prepare")
    started = every("start")
    assert len({text for _, text in started.values()}) == 1, started
    # One player by its own name, and the first one by the reference's.
    assert call("get_mode", interface=players[-1]) == mode
    assert call("get_mode", interface="bank") == mode
    every("stop")
    over, _ = call("wait_for_scan", timeout_s=20)
    assert over is True
    print(f"{len(players)} players observed through pyzmq")


if __name__ == "__main__":
    main()
