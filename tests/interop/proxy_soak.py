#!/usr/bin/env python3
"""Many clients at a dealer proxy, each reading and writing all players; started by scripts/soak-proxy.

    proxy_soak.py tcp://127.0.0.1:6668 PID [--minutes 10] [--players 16] [--clients 16]

Prints counts, latencies and the proxy's memory and descriptors after a quarter of the time and at the end. Exit status 0
when every reply had an entry for every player, every client has read back what it wrote, and neither has grown by more
than a tenth (and 2 MB).
"""

import argparse
import os
import statistics
import sys
import threading
import time

import zmq

GROWTH, GROWTH_KB, DESCRIPTORS = 1.1, 2048, 4


class Client(threading.Thread):
    """Calls one after the other until it is told to stop."""

    def __init__(self, url, number, players, until):
        super().__init__(daemon=True)
        self.url, self.number, self.players, self.until = url, number, players, until
        self.calls, self.bad, self.slowest_ms = 0, [], 0.0

    def run(self):
        socket = connect(self.url)
        turn = self.number
        while time.monotonic() < self.until:
            turn += 1
            proc, kwargs = [
                ("get_status", {"keys": "KEY%d" % (turn % 50)}),
                ("scan_status", {}),
                ("get_mode", {}),
                ("snapshot", {}),
                ("set_param", {"observer": "client%d" % self.number}),
            ][turn % 5]
            began = time.perf_counter()
            reply = call(socket, "dealer", proc, **kwargs)
            self.slowest_ms = max(self.slowest_ms, (time.perf_counter() - began) * 1e3)
            self.calls += 1
            if proc in ("scan_status", "set_param") and len(reply) != self.players:
                self.bad.append((proc, str(reply)[:200]))
            if turn % 25 == 0:
                self.read_back(socket, turn)
            time.sleep(0.02)

    def read_back(self, socket, turn):
        """What is read after a write is never older than it, whatever the others read meanwhile."""
        key = "SOAK%02d" % self.number
        call(socket, "dealer", "set_status", **{key: str(turn)})
        for player, value in call(socket, "dealer", "get_status", key).items():
            if str(value) != str(turn):
                self.bad.append(("read back", "%s of %s is %r, not %d" % (key, player, value, turn)))


def connect(url):
    socket = zmq.Context.instance().socket(zmq.REQ)
    socket.setsockopt(zmq.RCVTIMEO, 60_000)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(url)
    return socket


def call(socket, interface, proc, *args, **kwargs):
    socket.send_json({"name": interface, "proc": proc, "args": list(args), "kwargs": kwargs})
    return socket.recv_json()


def used(pid):
    """Resident kB and open descriptors."""
    with open("/proc/%d/status" % pid, encoding="ascii") as status:
        resident = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return resident, len(os.listdir("/proc/%d/fd" % pid))


def fan_out(socket, first):
    """Medians in ms of a read of one player and of all; no two are the same, so that none is shared."""
    one, every = [], []
    for turn in range(300):
        for times, interface in ((one, first), (every, "dealer")):
            began = time.perf_counter()
            call(socket, interface, "get_status", "T%d" % turn)
            times.append((time.perf_counter() - began) * 1e3)
    return statistics.median(one), statistics.median(every)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("pid", type=int)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--players", type=int, default=16)
    parser.add_argument("--clients", type=int, default=16)
    options = parser.parse_args()
    socket = connect(options.url)
    patience = time.monotonic() + 60
    while not all(p["connected"] for p in call(socket, "dealer", "snapshot")["players"].values()):
        assert time.monotonic() < patience, "not all players are connected"
        time.sleep(0.2)
    names = call(socket, "dealer", "list_available_players")
    one, every = fan_out(socket, names[0])
    print("a read of one player %.2f ms, of %d players %.2f ms: %.1f times" % (one, len(names), every, every / one))
    print("set_mode:", len(call(socket, "dealer", "set_mode", "MODE1")), "entries")
    span = options.minutes * 60
    began = time.monotonic()
    clients = [Client(options.url, n, options.players, began + span) for n in range(options.clients)]
    for client in clients:
        client.start()
    time.sleep(span / 4)
    early = used(options.pid)
    # All clients are still there: what each costs does not hide what grows.
    time.sleep(max(0.0, began + span * 0.97 - time.monotonic()))
    late = used(options.pid)
    for client in clients:
        client.join()
    bad = [b for client in clients for b in client.bad]
    silent = [client.number for client in clients if client.calls == 0]
    print("%d calls, slowest %.0f ms" % (sum(c.calls for c in clients), max(c.slowest_ms for c in clients)))
    print("resident %d kB then %d kB, descriptors %d then %d" % (early[0], late[0], early[1], late[1]))
    grown = late[0] > early[0] * GROWTH + GROWTH_KB or late[1] > early[1] + DESCRIPTORS
    if bad or silent or grown:
        print("NOT WELL:", bad[:3], silent, "grown" if grown else "")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
