#!/usr/bin/env python3
"""The Python client of scripts/python against real daemons: players, old players, the proxy, the CCD host.

    APPLIANCE_BINARY=path/to/appliance python_client_test.py [unittest arguments]

Players and controllers are simulated, everything is on loopback; every process is ended at the end.
"""

import asyncio
import contextlib
import inspect
import io
import json
import os
import pathlib
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import unittest.mock
from datetime import datetime, timedelta, timezone

import zmq

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "python"))

import dealer  # noqa: E402
from appliance_client import ArchonController, CommandStatus, ControllerStatus  # noqa: E402
from appliance_client import archon as archon_module  # noqa: E402
from appliance_client import site, wire  # noqa: E402
from appliance_client.async_rpc import AsyncLink  # noqa: E402
from appliance_client.caller import Caller, deadline_ms  # noqa: E402
from appliance_client.rpc import Link  # noqa: E402
from appliance_client.player import Interface  # noqa: E402

BINARY = os.environ.get("APPLIANCE_BINARY", "appliance")
READY_S = 60
NOBODY = "tcp://127.0.0.1:1"
BANKS = ["BANKA", "BANKB", "BANKC"]
CONSENT = {"unchecked": True, "thermal": True, "bias_consent": True}


class Process:
    """A process that says `ready ..` on its standard output."""

    def __init__(self, command, log, **more):
        self._log = open(log, "w+b")
        self._process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log, **more
        )
        watchdog = threading.Timer(READY_S, self._process.kill)
        watchdog.start()
        lines = iter(self._process.stdout.readline, b"")
        ready = next((line.decode() for line in lines if line.startswith(b"ready ")), None)
        watchdog.cancel()
        if ready is None:
            raise AssertionError(f"{command} was not ready: {pathlib.Path(log).read_text()}")
        words = ready.split()[1:]
        self.url = next((w[5:] for w in words if w.startswith("json=")), words[0])
        self._drain = threading.Thread(target=lambda: list(lines), daemon=True)
        self._drain.start()

    def kill(self):
        self._process.kill()
        self._process.wait()

    def stop(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(READY_S)
            except subprocess.TimeoutExpired:
                self.kill()
        self._drain.join()
        self._process.stdout.close()
        self._log.close()


def forget_memory(home):
    """Status memory of a simulated player that was killed; one that ends in order removes its own."""
    for keyfile in home.glob("appliance-player-*/keyfile"):
        subprocess.run([BINARY, "shm", "clean", "-I", "0", "-K", str(keyfile)], check=True, stdout=subprocess.DEVNULL)


class Rig(unittest.TestCase):
    """A directory, and processes that end with the test or its class."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.dir = pathlib.Path(cls.stack.enter_context(tempfile.TemporaryDirectory()))
        cls.count = 0

    @classmethod
    def process(cls, command, stack=None, **more):
        cls.count += 1
        process = Process(command, cls.dir / f"{cls.count}.log", **more)
        (stack or cls.stack).callback(process.stop)
        return process

    @classmethod
    def appliance(cls, role, *settings, stack=None, **more):
        cls.count += 1
        home = cls.dir / f"{role}-{cls.count}"
        home.mkdir()
        words = [BINARY, "--role", role, "--announce", "--set", "listen.json=tcp://127.0.0.1:0"]
        for setting in [f"record.dir={home}", *settings]:
            words += ["--set", setting]
        (stack or cls.stack).callback(forget_memory, home)
        more.setdefault("env", {**os.environ, "TMPDIR": str(home)})
        return cls.process(words, stack, **more)

    @classmethod
    def player(cls, stack=None, settings=()):
        conf = ROOT / "config" / "dibas.example.conf"
        data = ["player.simulate=true", "player.bank=BANKA", "player.rate_divisor=64", f"player.data_root={cls.dir}"]
        return cls.appliance("player", f"player.dibas_conf={conf}", *data, *settings, stack=stack)

    @classmethod
    def old_player(cls, *options, stack=None):
        script = ROOT / "tests" / "interop" / "reference_player.py"
        return cls.process([sys.executable, str(script), *options], stack)

    @classmethod
    def proxy(cls, urls, stack=None, settings=()):
        players = [f"dealer.players.{name}={url}" for name, url in urls.items()]
        journal = f"dealer.journal={cls.dir}/scans.jsonl"
        return cls.appliance("dealer-proxy", *players, journal, *settings, stack=stack)

    def own(self):
        """Ends with this test."""
        stack = contextlib.ExitStack()
        self.addCleanup(stack.close)
        return stack

    def until(self, holds, within_s=30):
        limit = time.monotonic() + within_s
        while not holds():
            self.assertLess(time.monotonic(), limit, "it did not come to that")
            time.sleep(0.02)

    def ok(self, result, names=None):
        """Every player has an entry, and none is a failure."""
        self.assertEqual(sorted(result), sorted(names or BANKS), result)
        for name, entry in result.items():
            self.assertFalse(isinstance(entry, list) and entry[:1] == [False], f"{name}: {entry}")


class Observing:
    """What an observer does; the same directly and through the proxy."""

    def open(self):
        raise NotImplementedError

    def setUp(self):
        self.d = self.open()
        self.addCleanup(self.d.close)
        names = self.d.list_available_players()
        self.assertEqual(self.d.list_active_players(), names, "all, unless told otherwise")

    def test_a_scan_from_mode_to_end(self):
        d = self.d
        self.ok(d.set_mode("MODE1", force=True))
        self.assertEqual(d.get_mode(), (True, "MODE1"))
        self.ok(d.set_param(scan_length=2.0))
        self.ok(d.set_param(observer="Jansky"))
        self.assertEqual(d.get_param("scan_length"), dict.fromkeys(BANKS, 2.0))
        self.ok(d.prepare())
        self.assertEqual(d.get_status("OBSERVER"), dict.fromkeys(BANKS, "Jansky"))
        d.set_scan_number(41)
        self.ok(d.increment_scan_number())
        self.assertEqual(d.scan_number, 42)
        self.assertEqual(d.get_status(["SCANNUM"])["BANKC"]["SCANNUM"], "42")
        earliest = d.earliest_start()
        self.assertIsNotNone(earliest.utcoffset())
        when = earliest + timedelta(seconds=1)
        started = d.start(when)
        self.ok(started)
        text = f"Successfully started roach for starttime={when:%Y-%m-%d %H:%M:%S}"
        self.assertEqual(started, dict.fromkeys(BANKS, [True, text]), "all in the same second")
        last = d.last_start()
        self.assertEqual((last["start"], last["asked"]), (f"{when:%Y-%m-%d %H:%M:%S}",) * 2)
        self.assertLess(last["called"], last["start"])
        self.assertIsNone(last["failed"])
        self.assertEqual(sorted(last), ["answered", "asked", "called", "failed", "players", "sent", "start"])
        self.assertLess(last["called"], last["sent"])
        self.assertLess(last["sent"], last["answered"])
        self.assertEqual(sorted(last["players"]), BANKS)
        for told in last["players"].values():
            self.assertEqual(sorted(told), ["arm_late_us", "clock_offset_ms", "margin_ms", "mode", "scan_number"])
            self.assertEqual(told["scan_number"], 42)
            self.assertEqual(told["mode"], "MODE1")
        # A proxy has them when it has looked whether all take data.
        margins = lambda: [told["margin_ms"] for told in d.last_start()["players"].values()]  # noqa: E731
        self.until(lambda: all(isinstance(margin, (int, float)) and margin > 0 for margin in margins()))
        running, _ = d.wait_for_scan(timeout_s=0.2)
        self.assertFalse(running)
        self.assertTrue(d.scan_summary()["running_all"])
        again = d.start()
        self.assertEqual(again, dict.fromkeys(BANKS, [False, "Scan already started."]))
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            ended, entries = d.wait_for_scan(verbose=True, timeout_s=60, poll_s=0.5)
        self.assertTrue(ended, entries)
        self.assertRegex(printed.getvalue(), r"BANKB Scanning NETSTAT=\w+ DISKSTAT=\w+")
        self.assertGreater(datetime.now(timezone.utc), when + timedelta(seconds=2))
        # A proxy answers from what it heard last.
        self.until(lambda: not d.scan_summary()["running_any"])

    def test_methods_are_learnt_and_told(self):
        self.ok(self.d.set_mode("MODE1", force=True))
        a = self.d.players["BANKA"]
        self.assertEqual(a.valon.get_frequency(0), 1500.0)
        self.assertIsInstance(a.roach.read("sys_clkcounter", 4), bytes)
        self.assertIn("progdev", dir(a.roach))
        self.assertIn("set_mode", dir(a))
        self.assertIn("set_gbt_ss", dir(self.d))
        self.assertIn("operating mode", inspect.getdoc(a.bank.set_mode))
        self.assertEqual(list(inspect.signature(a.valon.set_frequency).parameters)[:2], ["synth", "frequency"])
        self.assertFalse(hasattr(a.bank, "nope"))
        with self.assertRaises(AttributeError):
            self.d.nope()
        self.assertEqual(sorted(self.d.why()), BANKS, "a method that is only the players'")
        shown = self.d.snapshot()["players"]
        self.assertEqual({name: shown[name]["player_state"]["bank"] for name in shown}, dict.fromkeys(BANKS, "BANKA"))

    def test_errors_have_class_and_words(self):
        a = self.d.players["BANKA"]
        with self.assertRaises(KeyError) as caught:
            a.bank.call("nope")
        self.assertEqual((caught.exception.kind, caught.exception.message), ("KeyError", "'nope'"))
        self.assertEqual(caught.exception.args[0][:2], ["KeyError", "'nope'"])
        with self.assertRaises(TypeError):
            a.bank.set_mode()
        with self.assertRaises(ValueError):
            a.bank.set_status(X=float("nan"))
        with self.assertRaisesRegex(ValueError, "BANKX"):
            self.d.add_active_player("BANKA", "BANKX")
        with self.assertRaisesRegex(Exception, "Start time must be specified in UTC"):
            self.d.start(datetime(2030, 1, 1))
        with self.assertRaisesRegex(Exception, "must be a datetime"):
            self.d.start("now")

    def test_single_failures_are_entries(self):
        d = self.d
        self.ok(d.set_mode("MODE1", force=True))
        result = d.set_param(nope=1)
        for entry in result.values():
            self.assertIs(entry[0], False)
            self.assertIn("No such parameter 'nope'", entry[1])
        with self.assertRaises(dealer.FanOutError) as caught:
            d.set_param(nope=1, policy="strict")
        self.assertEqual(sorted(caught.exception.result), BANKS)
        with self.assertRaises(dealer.FanOutError):
            d.set_param(nope=1, policy="quorum=1")
        with self.assertRaises(ValueError):
            d.prepare(policy="most")

    def test_modes_of_all_and_of_one(self):
        d = self.d
        self.ok(d.set_mode("MODE1", force=True))
        self.ok(d.set_mode("MODE2", force=True, players=["BANKB"]), ["BANKB"])
        same, modes = d.get_mode()
        self.assertFalse(same)
        self.assertEqual(modes, {"BANKA": "MODE1", "BANKB": "MODE2", "BANKC": "MODE1"})
        self.assertEqual(d.remove_active_player("BANKB"), ["BANKA", "BANKC"])
        self.assertEqual(d.get_mode(), (True, "MODE1"))
        self.assertEqual(d.add_active_player(["BANKB"]), BANKS)
        self.assertIn("MODE1", d.list_modes())
        self.assertEqual(d.list_modes(detail=True)["MODE1"], BANKS)
        self.assertIn("second", d.help_param("scan_length"))

    def test_too_early_sends_nothing(self):
        d = self.d
        self.ok(d.set_mode("MODE1", force=True))
        good, text = d.start([2020, 1, 1, 0, 0, 0, 0])
        self.assertFalse(good)
        self.assertRegex(text, r"^Start time 2020-01-01 00:00:00\+00:00 is earlier that earliest possible start time")
        self.assertFalse(d.scan_summary()["running_any"])

    def test_stop_gets_in_while_start_waits(self):
        d = self.d
        self.ok(d.set_mode("MODE1", force=True))
        self.ok(d.prepare())
        kept = {}
        when = d.earliest_start() + timedelta(seconds=4)
        starting = threading.Thread(target=lambda: kept.update(d.start(when)))
        starting.start()
        for name in BANKS:
            self.until(lambda n=name: (d.players[n].player_state()["scan"] or {}).get("start"))
        stopped = d.stop()
        starting.join(30)
        self.ok(stopped)
        self.assertLess(datetime.now(timezone.utc), when)
        self.assertEqual([entry[0] for entry in kept.values()], [False] * 3, kept)

    def test_switching_states(self):
        d, bits = self.d, dealer.SWbits
        self.ok(d.set_mode("MODE1", force=True))
        rows = [[0.0, bits["SIG"], bits["CALON"], 0.002], [0.5, bits["SIG"], bits["CALOFF"], 0.002]]
        self.assertEqual(d.set_gbt_ss(0.1, rows), dict.fromkeys(BANKS, [True, 4]))
        self.assertEqual(d.clear_switching_states(), dict.fromkeys(BANKS, [True, 0]))
        self.assertEqual(d.add_switching_state(0.01, cal=True), dict.fromkeys(BANKS, [True, 1]))


class Directly(Observing, Rig):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.urls = {name: cls.player().url for name in BANKS}

    def open(self):
        return dealer.Dealer(self.urls)

    def test_a_start_looks_again_when_asked(self):
        self.ok(self.d.set_mode("MODE1", force=True))
        self.ok(self.d.set_param(scan_length=20.0))
        self.ok(self.d.prepare())
        when = self.d.earliest_start() + timedelta(seconds=1)
        self.ok(self.d.start(when, verify=True))
        self.assertGreaterEqual(datetime.now(timezone.utc), when + timedelta(seconds=2))
        self.assertEqual([text for _, text in self.d.last_warnings() if "take data" in text], [])
        self.ok(self.d.stop())

    def test_startin_is_the_same_second_for_all(self):
        self.ok(self.d.set_mode("MODE1", force=True))
        self.ok(self.d.prepare())
        started = self.d.startin(8, 3)
        self.ok(started)
        self.assertEqual(len({entry[1] for entry in started.values()}), 1, started)
        lengths = [p.player_state()["scan"]["length_s"] for p in self.d.players.values()]
        self.assertEqual(lengths, [3.0] * 3)
        self.ok(self.d.stop())

    def with_a_master(self, mode, master):
        """A dealer that knows by the site's configuration who programs the board of all in this mode."""
        conf = self.dir / "site" / "etc" / "config" / "dibas.conf"
        conf.parent.mkdir(parents=True, exist_ok=True)
        conf.write_text(f"[{mode}]\ncdd_master_hpc = {master}\n")
        with unittest.mock.patch.dict(os.environ, DIBAS_DIR=str(self.dir / "site")):
            d = dealer.Dealer(self.urls)
        self.addCleanup(d.close)
        return d

    def heard(self):
        """Player, interface and method of what is asked from now on."""
        names, calls = {url: name for name, url in self.urls.items()}, []
        original = Interface.call_within

        def spy(interface, timeout_s, method, *args):
            if method in ("would", "progdev", "set_mode"):
                calls.append((names[interface._link.url], method))
            return original(interface, timeout_s, method, *args)

        patch = unittest.mock.patch.object(Interface, "call_within", spy)
        patch.start()
        self.addCleanup(patch.stop)
        return calls

    def test_a_shared_board_is_programmed_by_its_master_first(self):
        d = self.with_a_master("MODE2", "BANKB")
        self.ok(d.set_mode("MODE1", force=True))
        calls = self.heard()
        self.ok(d.set_mode("MODE2"))
        self.assertEqual(sorted(calls[:3]), [(name, "would") for name in BANKS])
        self.assertEqual(sorted(calls[3:5]), [("BANKA", "progdev"), ("BANKC", "progdev")])
        self.assertEqual(calls[5], ("BANKB", "set_mode"))
        self.assertEqual(sorted(calls[6:]), [("BANKA", "set_mode"), ("BANKC", "set_mode")])
        self.ok(d.set_mode("MODE1", force=True))
        self.assertEqual(len(calls), 11, "the other modes are set by all at once")

    def test_nobody_changes_to_a_shared_board_without_its_master(self):
        d = self.with_a_master("MODE2", "BANKB")
        self.ok(d.set_mode("MODE1", force=True))
        calls = self.heard()
        for entry in d.set_mode("MODE2", players=["BANKA", "BANKC"]).values():
            self.assertEqual(entry, [False, "not done: BANKB, which programs the board of all, is not among the players"])
        self.assertEqual(calls, [])
        self.ok(d.set_param(scan_length=60.0, players=["BANKC"]), ["BANKC"])
        self.ok(d.prepare(players=["BANKC"]), ["BANKC"])
        self.ok(d.start(players=["BANKC"]), ["BANKC"])
        result = d.set_mode("MODE2")
        self.ok(d.stop(players=["BANKC"]), ["BANKC"])
        self.assertEqual(result["BANKA"], [False, "not done: BANKC would refuse it"])
        self.assertRegex(result["BANKC"][1], "scan")
        self.assertEqual(d.get_mode(), (True, "MODE1"))
        self.assertNotIn("progdev", [method for _, method in calls], "no board is silenced for nothing")


class ThroughTheProxy(Observing, Rig):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.urls = {name: cls.player().url for name in BANKS}
        cls.proxy_url = cls.proxy(cls.urls).url

    def open(self):
        d = dealer.Dealer(proxy=self.proxy_url)
        self.until(lambda: all(isinstance(state, dict) for state in d.player_state().values()))
        return d

    def test_what_only_the_proxy_has(self):
        self.assertEqual(self.d.groups(), {})
        self.assertEqual(len(self.d.health()), 2)
        self.assertIsInstance(self.d.journal(), list)

    def test_the_environment_names_it(self):
        self.enterEnv("APPLIANCE_DEALER", self.proxy_url)
        with dealer.Dealer(active="BANKB") as d:
            self.assertEqual(d.list_available_players(), BANKS)
            self.assertEqual(list(d.get_status("INSTANCE", deadline_s=5)), ["BANKB"])

    def enterEnv(self, key, value):
        os.environ[key] = value
        self.addCleanup(os.environ.pop, key)


class Failing(Rig):
    """Players that are down, lost, busy or unwilling."""

    def prepared(self, urls, proxy=None):
        d = dealer.Dealer(urls) if proxy is None else dealer.Dealer(proxy=proxy)
        self.addCleanup(d.close)
        if proxy is not None:  # it says [False, ..] until it has connected
            self.until(lambda: all(isinstance(state, dict) for state in d.player_state().values()))
        for entry in d.set_mode("MODE1").values():
            self.assertIs(entry[0], True, entry)
        d.set_param(scan_length=20.0)
        d.prepare()
        return d

    def idle(self, d, names):
        for name in names:
            status = d.players[name].scan_status()
            self.assertIs(status[0], False, f"{name} scans alone: {status}")

    def test_a_dead_player_has_entries_too(self):
        a = self.player(self.own())
        with dealer.Dealer({"BANKA": a.url, "BANKB": NOBODY}) as d:
            lost = [False, "Lost connection to server for BANKB."]
            self.assertEqual(d.set_mode("MODE1")["BANKB"], lost)
            self.assertEqual(d.get_mode(), (False, {"BANKA": "MODE1", "BANKB": lost}))
            self.assertEqual(d.scan_status()["BANKB"], lost)
            self.assertIn("NotConnected", d.last_errors()["BANKB"][1])
            refused = d.start()
            self.assertEqual([entry[0] for entry in refused.values()], [False, False], refused)
            self.assertIn("BANKB", refused["BANKA"][1])
            self.idle(d, ["BANKA"])
            some = d.start(policy="quorum=1")
            self.assertIs(some["BANKA"][0], True, some)
            self.assertIn("left out of the start: it did not answer", some["BANKB"][1])
            self.assertEqual(d.stop()["BANKA"], [True, "Scan ended"])
            self.assertIsInstance(d.earliest_start(), datetime)
            self.assertIn("BANKB did not say", d.last_warnings()[-1][1])
            with self.assertRaises(dealer.NotConnected):
                d.players["BANKB"].get_mode()
            self.assertEqual(d.players["BANKB"].bank.methods, {})

    def killed_in_a_start(self, players, d):
        when = d.earliest_start() + timedelta(seconds=6)
        kept = {}
        starting = threading.Thread(target=lambda: kept.update(d.start(when)))
        starting.start()
        direct = {name: dealer.Player(name, p.url) for name, p in players.items()}
        for player in direct.values():
            self.addCleanup(player.close)
        self.until(lambda: (direct["BANKC"].player_state()["scan"] or {}).get("start"))
        players["BANKC"].kill()
        starting.join(60)
        self.assertEqual(kept["BANKC"], [False, "Lost connection to server for BANKC."])
        self.assertLess(datetime.now(timezone.utc), when, "it is taken back at once, not at its second")
        for name in ("BANKA", "BANKB"):
            self.assertIs(direct[name].scan_status()[0], False, f"{name} scans alone")
            self.assertIs(kept[name][0], False, kept)
        self.assertEqual(d.get_mode()[1]["BANKC"], [False, "Lost connection to server for BANKC."])
        return kept

    def test_a_player_killed_in_a_start_takes_it_back(self):
        own = self.own()
        players = {name: self.player(own) for name in BANKS}
        d = self.prepared({name: p.url for name, p in players.items()})
        kept = self.killed_in_a_start(players, d)
        text = "not started: BANKC: Lost connection to server for BANKC.; stopped"
        self.assertEqual([kept["BANKA"], kept["BANKB"]], [[False, text]] * 2)
        self.assertIn("BANKC", d.last_start()["failed"])

    def test_also_through_the_proxy(self):
        own = self.own()
        players = {name: self.player(own) for name in BANKS}
        proxy = self.proxy({name: p.url for name, p in players.items()}, own)
        d = self.prepared({}, proxy.url)
        self.killed_in_a_start(players, d)
        self.assertIn("BANKC", d.last_start()["failed"])

    def test_one_refusal_stops_those_that_took_it_and_only_those(self):
        own = self.own()
        urls = {"BANKA": self.player(own).url, "OLD": self.old_player(stack=own).url}
        urls["NO"] = self.old_player("--refuse-start", "--set-mode-s", "0", stack=own).url
        d = self.prepared(urls)
        result = d.start()
        self.assertEqual(result["NO"], [False, "Not enough time to arm ROACH."])
        text = "not started: NO: Not enough time to arm ROACH."
        self.assertEqual(result["OLD"], [False, f"{text}; stopped"])
        self.assertTrue(result["BANKA"][0] is False, result)
        self.idle(d, urls)

    def test_a_scan_of_somebody_else_is_not_disturbed(self):
        own = self.own()
        d = self.prepared({"BANKA": self.player(own).url, "BANKB": self.player(own).url})
        self.assertIs(d.players["BANKB"].start()[0], True)
        result = d.start()
        self.assertEqual(result["BANKB"], [False, "Scan already started."])
        self.assertIn("BANKB is scanning already", result["BANKA"][1])
        self.assertIs(d.players["BANKB"].scan_status()[0], True)

    def test_a_busy_old_player_is_waited_for_no_longer_than_said(self):
        old = self.old_player("--set-mode-s", "4", stack=self.own())
        with dealer.Dealer({"OLD": old.url}) as d:
            self.assertEqual(d.get_mode(), (True, None))
            setting = threading.Thread(target=d.set_mode, args=("MODE1",))
            setting.start()
            time.sleep(0.5)
            began = time.monotonic()
            busy = d.scan_status(deadline_s=0.5)
            self.assertLess(time.monotonic() - began, 3)
            text = "No reply from OLD within 0.5 s; the request may still be running"
            self.assertEqual(busy, {"OLD": [False, text]})
            setting.join()
            self.assertEqual(d.get_mode(), (True, "MODE1"))

    def interrupted(self, d, arguments):
        script = f"""
import sys
sys.path.insert(0, {str(ROOT / "scripts" / "python")!r})
import dealer, datetime, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in jobs of a shell's background
d = dealer.Dealer({arguments})
try:
    d.start(d.earliest_start() + datetime.timedelta(seconds=20))
except KeyboardInterrupt:
    print(d.players["BANKA"].player_state()["state"])
"""
        observer = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        self.until(lambda: (d.players["BANKA"].player_state()["scan"] or {}).get("start"))
        observer.send_signal(signal.SIGINT)
        told, _ = observer.communicate(timeout=30)
        self.assertEqual(told.decode().strip(), "READY")
        self.idle(d, ["BANKA"])

    def test_an_interrupted_start_is_taken_back(self):
        a = self.player(self.own())
        d = self.prepared({"BANKA": a.url})
        self.interrupted(d, {"BANKA": a.url})

    def test_so_is_one_at_a_proxy_but_not_the_scan_that_was_there(self):
        own = self.own()
        proxy = self.proxy({"BANKA": self.player(own).url}, own)
        d = self.prepared({}, proxy.url)
        self.interrupted(d, f"proxy={proxy.url!r}")
        self.until(lambda: not d.scan_summary()["running_any"])
        self.assertIs(d.start()["BANKA"][0], True)
        fleet = d._fleet
        self.until(lambda: fleet._scans())
        fleet._take_back(["BANKA"], fleet._scans())
        self.assertIs(d.scan_status()["BANKA"][0], True, "somebody else's scan goes on")
        fleet._take_back(["BANKA"], {})
        self.idle(d, ["BANKA"])

    def test_nobody_to_ask_for_a_start_is_said(self):
        own = self.own()
        proxy = self.proxy({"BANKA": NOBODY}, own)
        for d in (dealer.Dealer(proxy=proxy.url), dealer.Dealer({"BANKA": NOBODY})):
            self.addCleanup(d.close)
            with self.assertRaisesRegex(dealer.RpcError, "no player said when it could start: .*BANKA"):
                d.earliest_start()

    def test_an_address_that_is_none(self):
        with self.assertRaises(ValueError):
            dealer.Player("X", "north1:6667")
        with self.assertRaises(dealer.NotConnected):
            dealer.Player("X", "tcp://north1").get_mode()

    def test_old_players_do_as_they_did(self):
        own = self.own()
        urls = {n: self.old_player("--set-mode-s", "0.1", "--arm-delay", "1", stack=own).url for n in ("A", "B", "C")}
        d = self.prepared(urls)
        self.assertEqual(d.get_mode(), (True, "MODE1"), "three of them, and no TypeError")
        self.assertEqual(d.players["A"].valon.get_frequency(0), 1500.0)
        self.assertEqual(d.get_param("exposure")["A"][0], False)
        self.assertIn("seconds", d.help_param("exposure"))
        self.assertIsNone(d.scan_number)
        d.increment_scan_number()
        self.assertEqual(d.get_status("SCANNUM"), dict.fromkeys("ABC", "1"))
        d.set_param(scan_length=1.0)
        started = d.start()
        self.assertEqual([entry[0] for entry in started.values()], [True] * 3, started)
        self.assertEqual(len({entry[1] for entry in started.values()}), 1)
        self.assertEqual(d.wait_for_scan(timeout_s=30)[0], True)
        self.assertEqual(d.startin(4, 0)["A"][0], True, "the second is chosen here")
        self.assertTrue(d.wait_for_scan(timeout_s=30)[0])
        self.assertEqual(d.start(verify=True)["A"][0], True)
        warned = [text for _, text in d.last_warnings() if "does not take data 2 s after the start" in text]
        self.assertEqual([text.split()[0] for text in warned], ["A", "B", "C"], "over after one second")
        self.assertTrue(d.wait_for_scan(timeout_s=30)[0])

    def test_old_players_behind_the_proxy(self):
        own = self.own()
        urls = {n: self.old_player("--set-mode-s", "1", "--arm-delay", "1", stack=own).url for n in ("A", "B")}
        urls["NO"] = self.old_player("--refuse-start", "--set-mode-s", "0", stack=own).url
        with dealer.Dealer(proxy=self.proxy(urls, own).url, active=["A", "B"]) as d:
            self.until(lambda: d.get_mode(players=list(urls)) == (True, None))
            self.ok(d.set_mode("MODE1", players=list(urls)), urls)
            self.ok(d.set_param(scan_length=0.0), "AB")
            self.ok(d.start(), "AB")
            self.assertTrue(d.wait_for_scan(timeout_s=30)[0])
            # The proxy refuses a start by what it heard last, which may be a second old.
            self.until(lambda: not d.scan_summary()["running_any"])
            result = d.start(players=["A", "NO"])
            self.assertEqual(result["NO"], [False, "Not enough time to arm ROACH."])
            self.assertEqual(result["A"], [False, "not started: NO: Not enough time to arm ROACH.; stopped"])
            self.assertIs(d.scan_status()["A"][0], False)

    def test_a_call_that_was_not_sent_is_never_carried_out(self):
        log = self.dir / "zombies.log"
        first = self.old_player("--set-mode-s", "0", stack=self.own())
        port = first.url.rpartition(":")[2]
        with dealer.Dealer({"OLD": first.url}) as d:
            d.set_mode("MODE1")
            first.kill()
            self.assertEqual(d.set_scan_number(666)["OLD"], [False, "Lost connection to server for OLD."])
            again = self.old_player("--port", port, "--set-mode-s", "0", "--log", str(log), stack=self.own())
            self.assertEqual(again.url, first.url)
            self.until(lambda: d.get_mode() == (True, None))
            seen = log.read_text()
            self.assertIn("bank.get_mode", seen)
            self.assertNotIn("set_scan_number", seen)

    def test_the_connection_that_ends_is_noticed_at_once(self):
        old = self.old_player("--set-mode-s", "60", stack=self.own())
        player = dealer.Player("OLD", old.url)
        self.addCleanup(player.close)
        began = time.monotonic()
        threading.Timer(0.5, old.kill).start()
        with self.assertRaises(dealer.ConnectionLost):
            player.set_mode("MODE1")
        self.assertLess(time.monotonic() - began, 20)

    def test_the_proxy_tells_of_a_killed_player(self):
        own = self.own()
        players = {name: self.player(own) for name in BANKS}
        proxy = self.proxy({name: p.url for name, p in players.items()}, own)
        with dealer.Dealer(proxy=proxy.url) as d:
            self.until(lambda: d.get_mode() == (True, None))
            players["BANKB"].kill()
            self.until(lambda: d.get_mode()[0] is False)
            lost = [False, "Lost connection to server for BANKB."]
            self.assertEqual(d.prepare()["BANKB"], lost)
            self.ok(d.set_mode("MODE1", players=["BANKA", "BANKC"]), ["BANKA", "BANKC"])


def config_parameter(lines, name):
    """Its value in lines like PARAMETER3=FlushCount=2."""
    return next(line.rpartition("=")[2] for line in lines if f"={name}=" in line)


class Leases(Rig):
    """Control of players, of a proxy and of a CCD host."""

    REQUIRED = ["listen.lease=required"]

    def refused_for_want_of_control(self, entry):
        self.assertIs(entry[0], False, entry)
        self.assertRegex(entry[1], "lease|control is with")

    def test_players_are_ours_for_a_while(self):
        own = self.own()
        urls = {name: self.player(own, self.REQUIRED).url for name in ("BANKA", "BANKB")}
        ann, ben = dealer.Dealer(urls, who="ann"), dealer.Dealer(urls, who="ben")
        self.addCleanup(ann.close)
        self.addCleanup(ben.close)
        for entry in ann.set_param(exposure=0.5).values():
            self.refused_for_want_of_control(entry)
        with ann.control("ann", 600, purpose="tests") as lease:
            self.ok(ann.set_mode("MODE1", force=True), urls)
            # Side by side: over several connections, none of which acquired it.
            answers = []
            threads = [
                threading.Thread(target=lambda: answers.append(ann.players["BANKA"].set_param(exposure=0.5)))
                for _ in range(6)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            self.assertEqual(len(answers), 6)
            for entry in ben.set_param(exposure=1.0).values():
                self.refused_for_want_of_control(entry)
                self.assertIn("control is with ann (tests)", entry[1])
            with self.assertRaisesRegex(dealer.FanOutError, "control is with ann"):
                ben.control()
            self.ok(ben.get_param("exposure"), urls)
            self.assertEqual([entry[1] for entry in ben.stop().values()], ["No scan running!"] * 2)
            with self.assertRaisesRegex(ValueError, "ours already"):
                ann.control()
            until = {name: granted["until"] for name, granted in lease.granted.items()}
            lease.renew(7200)
            self.assertTrue(all(lease.granted[name]["until"] > until[name] for name in urls))
        for entry in ann.set_param(exposure=0.5).values():
            self.refused_for_want_of_control(entry)
        with ben.control("ben", 600):
            self.ok(ben.set_param(exposure=1.0), urls)

    def test_all_or_none(self):
        own = self.own()
        urls = {name: self.player(own, self.REQUIRED).url for name in ("BANKA", "BANKB")}
        with dealer.Dealer(urls, who="ann") as ann, dealer.Dealer(urls, who="ben") as ben:
            held = ben.players["BANKB"].control(seconds=600)
            ben.players["BANKB"].set_scan_number(7)
            with self.assertRaisesRegex(dealer.FanOutError, "BANKB: control is with ben") as caught:
                ann.control("ann", 600)
            self.assertIs(caught.exception.result["BANKA"][0], True)
            with ben.players["BANKA"].control(seconds=600):
                pass
            self.assertEqual(held.release(), {"BANKB": True})
            with ann.control("ann", 600, players=["BANKB"]):
                self.ok(ann.set_scan_number(8, players="BANKB"), ["BANKB"])

    def test_a_proxy_is_ours_for_a_while(self):
        own = self.own()
        players = {"BANKA": self.player(own, self.REQUIRED).url}
        proxy = self.proxy(players, own, self.REQUIRED)
        ann, ben = dealer.Dealer(proxy=proxy.url, who="ann"), dealer.Dealer(proxy=proxy.url, who="ben")
        self.addCleanup(ann.close)
        self.addCleanup(ben.close)
        self.until(lambda: isinstance(ann.player_state()["BANKA"], dict))
        with self.assertRaisesRegex(dealer.RemoteError, "listen.lease"):
            ann.prepare()
        with ann.control("ann", 600) as lease:
            self.assertEqual((list(lease.granted), lease.refused), (["proxy"], {}))
            self.ok(ann.set_mode("MODE1", force=True), players)
            self.ok({"BANKA": ann.players["BANKA"].set_param(exposure=0.5)}, players)
            with self.assertRaisesRegex(dealer.RemoteError, "control is with ann"):
                ben.prepare()
            with self.assertRaisesRegex(dealer.FanOutError, "control is with ann"):
                ben.control()
        with self.assertRaisesRegex(dealer.RemoteError, "listen.lease"):
            ann.prepare()
        # Who has the player itself is said, not kept out.
        with dealer.Dealer(players, who="eve") as eve, eve.control(seconds=600):
            with ann.control("ann", 600) as lease:
                self.assertIn("control is with eve", lease.refused["BANKA"])
                self.refused_for_want_of_control(ann.set_scan_number(1)["BANKA"])
        # The proxy counts, whoever asks.
        with ben.control(seconds=600):
            self.ok(ben.set_scan_number(7), players)
            self.ok(ben.increment_scan_number(), players)
        with ann.control():
            self.ok(ann.increment_scan_number(), players)
        self.assertEqual((ann.scan_number, ben.scan_number), (9, 9))

    def test_others_see_who_calls(self):
        own = self.own()
        a = self.player(own)
        with dealer.Dealer({"BANKA": a.url}) as d, dealer.Dealer({"BANKA": a.url}, who="ann") as ann:
            self.assertEqual(d.get_mode(), ann.get_mode())
            names = [client["who"] for client in d.players["BANKA"].link.call("rpc", "clients")]
            self.assertIn("ann", names)
            self.assertIn(f"{socket.gethostname()}:{os.getpid()}", [name.rpartition("@")[2] for name in names])
        with self.assertRaisesRegex(ValueError, "64"):
            dealer.Dealer({"BANKA": a.url}, who="a" * 65)

    def test_old_players_have_nothing_to_hold(self):
        own = self.own()
        old = self.old_player("--set-mode-s", "0", stack=own)
        with dealer.Dealer({"OLD": old.url}) as d, d.control("ann", 60) as lease:
            self.assertEqual(lease.granted, {})
            self.ok(d.set_mode("MODE1"), ["OLD"])


class Requests(unittest.TestCase):
    """What goes over the wire beside a call."""

    def setUp(self):
        self.server = zmq.Context.instance().socket(zmq.REP)
        self.addCleanup(self.server.close, linger=0)
        self.server.rcvtimeo = 1000 * READY_S
        self.url = f"tcp://127.0.0.1:{self.server.bind_to_random_port('tcp://127.0.0.1')}"
        self.seen = []

    def serve(self, count):
        def run():
            for _ in range(count):
                self.seen.append(json.loads(self.server.recv()))
                self.server.send(b"1")

        thread = threading.Thread(target=run)
        thread.start()
        self.addCleanup(thread.join)

    def test_the_time_limit_of_the_client_is_that_of_the_call(self):
        self.serve(3)
        link = Link(self.url, Caller("ann"))
        self.addCleanup(link.close)
        link.call("bank", "prepare", timeout_s=1.5)
        link.caller.lease = "1f.2"
        link.call("bank", "prepare", timeout_s=30)
        self.assertEqual(self.seen[0], dict(CALL, who="ann", deadline_ms=1500))
        self.assertEqual(self.seen[1], dict(CALL, who="ann", deadline_ms=30000, lease="1f.2"))

        async def awaited():
            link = AsyncLink(self.url, Caller("ben"))
            try:
                return await link.call("bank", "prepare", timeout_s=2.5)
            finally:
                link.close()

        self.assertEqual(asyncio.run(awaited()), 1)
        self.assertEqual(self.seen[2], dict(CALL, who="ben", deadline_ms=2500))

    def test_a_deadline_is_never_none_and_never_too_long(self):
        self.assertEqual([deadline_ms(s) for s in (1e-9, 0.0012, 1e12)], [1, 2, 2**32 - 1])


#: A request without what is beside it.
CALL = {"name": "bank", "proc": "prepare", "args": [], "kwargs": {}}


class Site(unittest.TestCase):
    """Players by configuration; what travels."""

    CONF = """
# a comment with = and :
[DEFAULTS]
telescope = T ; not part of the value
[DEALER]
players = "BANKA", BANKB,BANKC
[BANKA]
hpchost = north1
player_port = 6667
odd = 50%
[BANKB]
hpchost = north2
player_port = 6668
[BANKC]
hpchost = north3
player_port = 6669
"""

    def conf(self, text):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        path = pathlib.Path(directory.name) / "etc" / "config" / "dibas.conf"
        path.parent.mkdir(parents=True)
        path.write_text(text)
        return directory.name

    def test_players_of_dibas_conf(self):
        found = site.players(site.dibas_conf(self.conf(self.CONF)))
        self.assertEqual(
            found,
            {"BANKA": "tcp://north1:6667", "BANKB": "tcp://north2:6668", "BANKC": "tcp://north3:6669"},
        )

    def test_masters_of_dibas_conf(self):
        text = self.CONF + '[CODD_MODE_64]\ncdd_master_hpc = "BANKA"\n[MODE1]\nnfft = 1024\n'
        self.assertEqual(site.masters(site.dibas_conf(self.conf(text))), {"CODD_MODE_64": "BANKA"})

    def test_a_dealer_without_arguments(self):
        os.environ["DIBAS_DIR"] = self.conf(self.CONF)
        self.addCleanup(os.environ.pop, "DIBAS_DIR", None)
        with dealer.Dealer() as d:
            self.assertEqual(d.list_active_players(), BANKS)
        del os.environ["DIBAS_DIR"]
        with self.assertRaisesRegex(Exception, "'DIBAS_DIR' is not set!"):
            dealer.Dealer()
        with self.assertRaisesRegex(Exception, "Players must be in form of dict"):
            dealer.Dealer(["BANKA"])

    def test_what_is_missing_is_named(self):
        path = site.dibas_conf(self.conf(self.CONF.replace("player_port = 6668", "")))
        with self.assertRaisesRegex(ValueError, "BANKB.*player_port"):
            site.players(path)

    def test_times_travel_as_seven_numbers_of_utc(self):
        east = datetime(2026, 11, 21, 3, 36, 11, 5, tzinfo=timezone(timedelta(hours=1)))
        self.assertEqual(wire.seven(east), [2026, 11, 21, 2, 36, 11, 5])
        self.assertEqual(wire.utc([2026, 11, 21, 2, 36, 11, 5]), east)
        with self.assertRaises(ValueError):
            wire.seven(datetime(2026, 11, 21))
        body = wire.encode("bank", "write", [b"\x00\xff", east], {})
        self.assertIn(b'"\\u0000\\u00ff", [2026, 11, 21, 2, 36, 11, 5]', body)


class Archon(Rig, unittest.IsolatedAsyncioTestCase):
    """One controller of a CCD host with simulated ones."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        conf = ROOT / "config" / "archon.example.yml"
        environment = dict(os.environ, HOME=str(cls.dir))
        settings = ["archon.simulate=true", f"archon.config={conf}", "listen.lease=binding"]
        cls.url = cls.appliance("archon", *settings, env=environment).url

    async def asyncSetUp(self):
        self.c = ArchonController("sp1", self.url)
        await self.c.start()
        await self.c.init(**CONSENT)
        await self.c.power(True, unchecked=True)

    async def asyncTearDown(self):
        await self.c.reset()
        await self.c.stop()

    async def test_an_exposure_its_readout_and_its_frame(self):
        c = self.c
        self.assertEqual(c.status.names, ["IDLE", "POWERON"])
        seen = []

        async def watch():
            async for status in c.yield_status(0.02):
                seen.append(status)

        watching = asyncio.ensure_future(watch())
        exposure = await c.expose(1.0, readout=False, flavour="dark")
        self.assertEqual(c.status.names, ["EXPOSING", "READOUT_PENDING", "POWERON"])
        self.assertFalse(exposure.done())
        self.assertEqual((await exposure)["verdict"], "pending")
        result = await c.readout()
        self.assertEqual(result["verdict"], "complete", result)
        for name in result["filenames"]:
            self.assertTrue(pathlib.Path(name).exists(), name)
        watching.cancel()
        self.assertIn(ControllerStatus.READING, {status & ControllerStatus.READING for status in seen})
        self.assertTrue(all(a != b for a, b in zip(seen, seen[1:])), "changes only")
        image, buffer = await c.fetch(return_buffer=True)
        told = await c.get_frame()
        self.assertEqual(image.shape, (told[f"buf{buffer}height"], told[f"buf{buffer}width"]))
        self.same_as_written(image, max(self.dir.glob("archon_sp1_*.fits")))
        self.same_pixels(image, result["filenames"])
        again, _ = await c.fetch(buffer, return_buffer=True)
        self.assertEqual(again.tobytes(), image.tobytes())
        nowhere = str(self.dir / "nowhere.fits")
        self.assertEqual(archon_module.read_image(nowhere), nowhere, "a host whose disk is not ours: the path")

    def same_as_written(self, image, path):
        """The bytes of the FITS file, taken apart here: 16 bits, most significant byte first, 32768 too low."""
        whole = path.read_bytes()
        header = next(at for at in range(0, len(whole), 80) if whole[at : at + 8] == b"END     ")
        begin = (header // 2880 + 1) * 2880
        words = struct.unpack_from(f">{image.size}h", whole, begin)
        self.assertEqual([word + 32768 for word in words], image.ravel().tolist())

    def same_pixels(self, image, names):
        """The images of the CCDs are cut from this frame: together they have its pixels, each once."""
        from astropy.io import fits

        cut = [pixel for name in names for pixel in fits.getdata(name).ravel().tolist()]
        self.assertEqual(sorted(cut), sorted(image.ravel().tolist()))

    async def test_an_exposure_that_reads_out_by_itself(self):
        result = await (await self.c.expose(0.2))
        self.assertEqual((result["verdict"], len(result["filenames"])), ("complete", 2))

    async def test_abort_fails_the_exposure(self):
        exposure = await self.c.expose(30.0)
        await self.c.abort()
        with self.assertRaisesRegex(dealer.RemoteError, "Exposure was aborted"):
            await exposure
        with self.assertRaisesRegex(dealer.RemoteError, "Expose command is not running"):
            await self.c.abort()

    async def test_a_refused_exposure_raises_at_once(self):
        with self.assertRaisesRegex(dealer.RemoteError, "Exposure time|exposure_time"):
            await self.c.expose(-1.0)

    async def test_commands_as_they_are(self):
        status = await self.c.send_command("STATUS")
        self.assertTrue(status.succeeded())
        self.assertIn("POWERGOOD=1", status.replies[0].reply)
        self.assertEqual(status.replies[0].type, "<")
        nothing = await self.c.send_command("NOSUCHCOMMAND")
        self.assertIn(nothing.status, (CommandStatus.TIMEDOUT, CommandStatus.FAILED))
        with self.assertRaises(RuntimeError):
            await self.c.send_and_wait("NOSUCHCOMMAND")

    async def test_configuration_window_and_parameters(self):
        c = self.c
        config, lines = await c.read_config()
        self.assertEqual(len(config), len(lines))
        self.assertEqual(config["LINE0"], "Main:")
        window = await c.set_window(lines=20, pixels=15)
        self.assertEqual((window["lines"], window["pixels"]), (20, 15))
        self.assertNotEqual((await c.reset_window())["lines"], 20)
        await c.set_autoflush(True)
        self.assertEqual(await c.get_param("FlushCount"), int(config_parameter(lines, "FlushCount")))
        self.assertIsNone(await c.get_param("NoSuchParameter"))
        await c.flush(1)
        self.assertEqual(c.status.names, ["IDLE", "POWERON"])
        self.assertEqual((await c.power(False)).names, ["IDLE", "POWEROFF"])
        self.assertIn("backplane_temp", await c.get_device_status())
        self.assertIn("mod2_name", await c.get_system())

    async def test_the_host_is_ours_for_a_while(self):
        other = ArchonController("sp1", self.url, who="ben")
        async with other.control("ann", 600, purpose="tests") as lease:
            await other.set_autoflush(True)
            with self.assertRaisesRegex(dealer.RemoteError, r"control is with ann \(tests\)"):
                await self.c.set_autoflush(True)
            with self.assertRaisesRegex(dealer.RemoteError, "control is with ann"):
                await self.c.control().acquire()
            until = lease.granted["until"]
            await lease.renew(7200)
            self.assertGreater(lease.granted["until"], until)
        await self.c.set_autoflush(True)
        await other.set_autoflush(False)
        await other.stop()

    async def test_calls_side_by_side_and_cancelled(self):
        names = await asyncio.gather(*(self.c.update_status() for _ in range(12)))
        self.assertEqual(len(set(names)), 1)
        waiting = asyncio.ensure_future(self.c.send_command("NOSUCHCOMMAND"))
        await asyncio.sleep(0.1)
        waiting.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await waiting
        self.assertTrue((await self.c.send_command("STATUS")).succeeded())

    async def test_nobody_there(self):
        with self.assertRaises(dealer.NotConnected):
            await ArchonController("sp1", NOBODY).start()
        with self.assertRaises(KeyError):
            await ArchonController("sp9", self.url).start()


if __name__ == "__main__":
    unittest.main(verbosity=2)
