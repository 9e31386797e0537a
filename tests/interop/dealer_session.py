#!/usr/bin/env python3
"""Drives one scan through the JSON face as a Python Dealer would, and prints what it saw as JSON.

    dealer_session.py tcp://127.0.0.1:6667 [--mode MODE1] [--set name=value]... [--scan-length 2]

While `start` waits for its second, another client keeps reading; how long its reads took is part of
the result. Exit status 0 when every check holds; the names of those that do not are under "failed".
"""

import argparse
import json
import sys
import threading
import time

import zmq

import dealer_client
from dealer_client import Dealer, Proxy, RemoteError


class Reader(threading.Thread):
    """A second client: reads status until told to stop, and keeps the latencies."""

    READS = (("get_status", "NETSTAT"), ("scan_status",), ("earliest_start",))

    def __init__(self, url):
        super().__init__(daemon=True)
        self.url, self.done = url, threading.Event()
        self.latency_ms, self.unanswered, self.errors = [], 0, []
        self.registered = False

    def run(self):
        context = zmq.Context()
        bank = Proxy(context, self.url, "bank", timeout_s=5.0)
        self.registered = bool(bank.methods)
        while not self.done.wait(0.01):
            for method, *args in self.READS:
                began = time.perf_counter()
                try:
                    answer = bank.call(method, *args)
                except RemoteError as error:
                    self.errors.append(f"{method}: {error}")
                    continue
                self.latency_ms.append((time.perf_counter() - began) * 1e3)
                self.unanswered += answer is None
        bank.close()
        context.destroy(linger=0)

    def finish(self):
        self.done.set()
        self.join()
        ordered = sorted(self.latency_ms) or [0.0]
        at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
        return {
            "reads": len(self.latency_ms), "unanswered": self.unanswered, "errors": self.errors[:3],
            "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": round(ordered[-1], 3),
        }


class Session:
    def __init__(self, options):
        self.options, self.url = options, options.target
        self.result, self.failed = {}, []

    def check(self, name, holds, seen=None):
        if not holds:
            self.failed.append({"check": name, "seen": seen})

    def run(self):
        began = time.perf_counter()
        self.dealer = Dealer({"BANK": self.url})
        self.result["constructor_s"] = round(time.perf_counter() - began, 3)
        self.player = self.dealer.players["BANK"]
        for step in (self.interfaces, self.raw_list, self.errors, self.set_up, self.scan, self.stop_pending,
                     self.time_out):
            step()
        self.dealer.close()

    def interfaces(self):
        """The answer to `list_methods` must be there 0.1 s after the connection was asked for."""
        for name in ("bank", "roach", "valon"):
            proxy = getattr(self.player, name)
            self.result[f"{name}_methods"] = sorted(proxy.methods)
            # An interface may be empty, but it must be there: absent hardware answers `[]`.
            self.check(f"{name} registers within 0.1 s", proxy.in_time or self.registers_in_time(name))
        methods = self.player.bank.methods
        for needed in ("set_mode", "set_param", "prepare", "start", "stop", "scan_status", "get_status"):
            self.check(f"bank.{needed} is exported and documented", methods.get(needed))
        self.check("nothing private is exported", not any(m.startswith("_") for m in methods))

    def registers_in_time(self, interface):
        """Once more: a busy machine, or another client, may have had its tenth of a second."""
        for _ in range(3):
            proxy = Proxy(self.dealer._context, self.url, interface)
            in_time = proxy.in_time
            proxy.close()
            if in_time:
                return True
        return False

    def raw_list(self):
        """As a test-suite does: a bare REQ socket, no `args`, no `kwargs`."""
        context = zmq.Context()
        socket = context.socket(zmq.REQ)
        socket.connect(self.url)
        socket.send(json.dumps({"name": "bank", "proc": "list_methods"}).encode())
        listed = socket.recv_json() if socket.poll(5000) else None
        names = sorted(name for name, _ in listed or [])
        self.check("a raw REQ socket gets the same list", names == self.result["bank_methods"], names)
        context.destroy(linger=0)

    def errors(self):
        """Wrong calls are answered in the shape old clients raise from, and the connection lives."""
        for kind, method, args in (("KeyError", "nope", ()), ("KeyError", "__init__", ()), ("TypeError", "set_mode", ())):
            try:
                seen = self.player.bank.call(method, *args)
            except RemoteError as error:
                seen = error.kind
            self.check(f"{method}{args} answers {kind}", seen == kind, seen)
        try:
            Proxy(self.dealer._context, self.url, "nope").close()
            self.check("a wrong interface is refused", False)
        except ValueError:
            pass

    def set_up(self):
        mode = self.dealer.set_mode(self.options.mode)["BANK"]
        self.result["set_mode"] = mode or repr(self.dealer.errors)
        self.check("set_mode succeeds", bool(mode) and mode[0] is True, self.result["set_mode"])
        self.check("get_mode tells it", self.player.bank.get_mode() == self.options.mode, self.player.bank.get_mode())
        for name, value in self.options.settings.items():
            answer = self.dealer.set_param(**{name: value})["BANK"]
            self.check(f"set_param({name}) succeeds", not (isinstance(answer, list) and answer[0] is False), answer)
        prepared = self.dealer.prepare()["BANK"]
        self.result["prepare"] = prepared if not self.dealer.errors else repr(self.dealer.errors)
        self.check("prepare raises nothing", not self.dealer.errors, self.result["prepare"])

    def scan(self):
        """A scan from start to its own end, read by another client meanwhile."""
        reader = Reader(self.url)
        reader.start()
        when = self.dealer.earliest_start()
        began = time.perf_counter()
        started = self.dealer.start(when)["BANK"]
        self.result["start"] = started or repr(self.dealer.errors)
        self.result["start_s"] = round(time.perf_counter() - began, 3)
        self.check("start succeeds", bool(started) and started[0] is True, self.result["start"])
        self.check("start is over soon after its second", self.result["start_s"] < 30, self.result["start_s"])
        running = self.player.bank.scan_status()
        self.result["scan_status"] = running
        self.check("scan_status says running", bool(running) and running[0] is True, running)
        # A set-up by script is fast: packets of the time before the arm must not pass for the scan.
        self.check("the DAQ program is still there for it", "NETSTAT=exiting" not in (running or []), running)
        reads = reader.finish()
        self.result["reads_during_start"] = reads
        self.check("reads during start are all answered", reader.registered and reads["reads"] and
                   not reads["unanswered"] and not reads["errors"], reads)
        # A player that waits for its second in the call would let them wait for seconds.
        self.check("start holds up no read", reads["max_ms"] < 1500, reads)
        limit = time.monotonic() + self.options.scan_length + 30
        while running and running[0] and time.monotonic() < limit:
            time.sleep(0.25)
            running = self.player.bank.scan_status()
        self.result["scan_status_at_end"] = running
        self.check("the scan ends by itself", bool(running) and running[0] is False, running)
        self.result["stop"] = self.player.bank.stop()

    def stop_pending(self):
        """`stop` from another connection gets in while `start` waits for its second."""
        starting = threading.Thread(target=lambda: self.dealer.start())
        other = Dealer({"BANK": self.url})
        starting.start()
        time.sleep(0.3)
        began = time.perf_counter()
        self.result["stop_while_starting"] = other.in_turn("stop")["BANK"]
        self.result["stop_while_starting_s"] = round(time.perf_counter() - began, 3)
        starting.join(60)
        self.check("stop gets in while start waits", self.result["stop_while_starting_s"] < 5)
        self.check("start then comes back", not starting.is_alive())
        other.close()

    def time_out(self):
        """A client that gave up connects again and is served; a second one did not notice."""
        bank = Proxy(self.dealer._context, self.url, "bank", timeout_s=0.0)
        # On a busy machine the answer may be there before this process looks.
        impatient = any(bank.call("earliest_start") is None for _ in range(50))
        self.check("a call without patience returns None", impatient)
        bank.timeout_s = 10.0
        limit = time.monotonic() + 10
        while not bank.registered() and time.monotonic() < limit:
            time.sleep(0.01)
        self.check("the new connection is served", bank.call("get_mode") == self.options.mode)
        # A call while the list of methods is owed: returns at once, then works.
        bank._reopen()
        self.check("a call while registering returns None", bank.call("get_mode") is None)
        time.sleep(dealer_client.REGISTRATION_WAIT_S)
        self.check("and the next one works", bank.get_mode() == self.options.mode)
        self.result["reconnects"] = bank.reconnects
        bank.close()


def value(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("target", help="tcp://host:port of a player")
    parser.add_argument("--mode", default="MODE1")
    parser.add_argument("--scan-length", type=float, default=2.0, help="seconds")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", dest="assignments")
    options = parser.parse_args()
    options.settings = {"scan_length": options.scan_length, "observer": "Jansky", "project_id": "TGBT26A_901"}
    options.settings.update((name, value(text)) for name, _, text in (a.partition("=") for a in options.assignments))
    session = Session(options)
    try:
        session.run()
    except Exception as error:
        session.failed.append({"check": "no exception", "seen": f"{type(error).__name__}: {error}"})
    session.result["failed"] = session.failed
    # The last line is the result; what the client prints about reconnecting comes before it.
    print(json.dumps(session.result))
    return 1 if session.failed else 0


if __name__ == "__main__":
    sys.exit(main())
