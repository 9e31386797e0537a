#!/usr/bin/env python3
"""A player of the old kind, written from the description of how such players behave.

    reference_player.py [--port 0] [--set-mode-s 1.0] [--arm-delay 4] [--no-roach] [--refuse-start] [--log FILE]

One thread and one REP socket: whoever calls waits while any method runs; `set_mode` and `start` sleep. Requests are
carried out in the order they came, also those whose caller is gone. Errors are EXCEPTION triples; what cannot be
decoded ends the process. Prints `ready tcp://127.0.0.1:PORT`; with --log, one line `interface.method args kwargs` for
each request before it is carried out.
"""

import argparse
import json
import math
import sys
import time
import traceback
from datetime import datetime, timedelta, timezone

import zmq

MODES = ["CODD_MODE_64", "MODE1", "MODE2", "MODE3"]
PARAMS = {
    "exposure": "Exposure time, float, seconds",
    "filter_bw": "Filter bandwidth, int, MHz",
    "num_spectra": "Number of spectra, int",
    "observer": "Name of the observer, string",
    "project_id": "Project ID, string",
    "scan_length": "Scan length, float, seconds",
    "source": "Name of the source, string",
}
FILTERS = [450, 1900, 1450]
EARLY_S = 0.9
MARGIN_S = 2.0
TRACE_LINES = 10


def utc_now():
    return datetime.now(timezone.utc).replace(tzinfo=None)


def ceil_second(when):
    return when.replace(microsecond=0) + timedelta(seconds=1 if when.microsecond else 0)


class Valon:
    SYNTHS = {0: "SYNTH_A", 8: "SYNTH_B"}

    def __init__(self):
        self._frequency = {0: 1500.0, 8: 1500.0}

    def get_frequency(self, synth):
        """Returns the frequency in MHz"""
        return self._frequency[self._checked(synth)]

    def set_frequency(self, synth, freq, chan_spacing=10.0):
        """Sets the frequency in MHz"""
        self._frequency[self._checked(synth)] = float(freq)
        return True

    def get_phase_lock(self, synth):
        return self._checked(synth) is not None

    def _checked(self, synth):
        if synth not in self.SYNTHS:
            raise ValonException(
                "The 'synth' parameter was given as %s. It must be an integer either 0x00 (SYNTH_A) or 0x08 (SYNTH_B)"
                % synth
            )
        return synth


class ValonException(Exception):
    pass


class Roach:
    def __init__(self):
        self._registers = {"acc_len": 0, "sys_clkcounter": 0}

    def listdev(self):
        return sorted(self._registers)

    def read_int(self, device_name, offset=0):
        return self._registers[device_name]

    def write_int(self, device_name, integer, blindwrite=False, offset=0):
        if device_name not in self._registers:
            raise RuntimeError("Request write failed.")
        self._registers[device_name] = integer


class Bank:
    """Methods whose names begin with '_' are not listed; they can be called all the same."""

    def __init__(self, options):
        self._options = options
        self._mode = None
        self._params = {"scan_length": 30.0}
        self._status = {}
        self._phases = 0
        self._scan_number = 0
        self._scanning = self._monitoring = False
        self._end = None

    def set_mode(self, mode, bandwidth=None, force=False):
        """Sets the operating mode"""
        if not mode:
            return (False, "Mode is 'None', doing nothing.")
        if mode not in MODES:
            return (False, "Mode %s is not supported." % mode)
        if mode == self._mode and not force:
            return (False, "Mode %s is already set! Use 'force=True' to force." % mode)
        self._mode = mode
        time.sleep(self._options.set_mode_s)
        self._status.update(NETSTAT="waiting", DISKSTAT="waiting", MODENAME=mode)
        return (True, "New mode %s set!" % mode)

    def get_mode(self):
        """Returns the current operating mode"""
        return self._mode

    def list_modes(self):
        return sorted(MODES)

    def set_param(self, **kvpairs):
        if self._mode is None:
            raise Exception("Cannot set parameters until a mode is selected")
        for name, value in kvpairs.items():
            self._known(name)
            if name == "filter_bw" and value not in FILTERS:
                return (False, "Filter bandwidth must be one of %s" % FILTERS)
            self._params[name] = value
            return True  # only the first pair is applied
        return None

    def get_param(self, param=None):
        if self._mode is None:
            raise Exception("Cannot get parameters until a mode is selected")
        raise AttributeError("'VegasHBWBackend' object has no attribute 'param_values'")

    def help_param(self, name=None):
        if self._mode is None:
            raise Exception("Cannot set parameters until a mode is selected")
        if name is None:
            return PARAMS
        self._known(name)
        return PARAMS[name]

    def prepare(self):
        if self._mode is None:
            raise Exception("Cannot prepare until a mode is selected")
        self._status.update({"SCANLEN": str(self._params["scan_length"])})

    def earliest_start(self):
        if self._mode is None:
            return (False, "No backend selected!")
        return (True, self._seven(self._earliest(MARGIN_S)))

    def start(self, starttime=None):
        if self._mode is None:
            return None
        if self._scanning:
            return (False, "Scan already started.")
        if self._options.refuse_start:
            return (False, "Not enough time to arm ROACH.")
        earliest = self._earliest(0.0)
        if starttime is None:
            starttime = self._seven(earliest)
        if not isinstance(starttime, (list, tuple)):
            raise Exception("starttime must be a datetime or datetime compatible tuple or list.")
        when = ceil_second(datetime(*starttime))
        if when < earliest:
            raise Exception("Not enough time to arm ROACH. Start: %s, earliest possible start: %s" % (when, earliest))
        # Asleep until it is time to arm: nobody is served meanwhile.
        time.sleep(max(0.0, (when - utc_now()).total_seconds() - EARLY_S))
        self._scanning = True
        self._end = when + timedelta(seconds=float(self._params["scan_length"]) + 1.0)
        self._status.update(NETSTAT="receiving", DISKSTAT="writing")
        return (True, "Successfully started roach for starttime=%s" % when)

    def startin(self, inSecs, durSecs):
        if self._mode is None:
            return None
        raise TypeError("start() takes at most 2 arguments (3 given)")

    def stop(self):
        if self._mode is None:
            return (False, "No backend selected!")
        if self._scanning:
            self._ended()
            return (True, "Scan ended")
        if self._monitoring:
            self._monitoring = False
            return (True, "Ending monitor mode.")
        return (False, "No scan running!")

    def monitor(self):
        if self._mode is None:
            return (False, "No backend selected!")
        self._monitoring = True
        return (True, "Start monitor mode.")

    def scan_status(self):
        if self._mode is None:
            return (False, "No backend selected!")
        return (self._scanning, "NETSTAT=" + self._status["NETSTAT"], "DISKSTAT=" + self._status["DISKSTAT"])

    def set_status(self, **kwargs):
        if self._mode is not None:
            self._status.update({key: str(value) for key, value in kwargs.items()})

    def get_status(self, keys=None):
        if self._mode is None:
            return None
        if keys is None:
            return self._status
        if isinstance(keys, list):
            return {key: self._status[key] for key in keys if key in self._status}
        return self._status[keys]

    def set_scan_number(self, num):
        self._scan_number = num
        self._status.update(SCANNUM=str(num), SCAN=str(num))

    def increment_scan_number(self):
        self.set_scan_number(self._scan_number + 1)

    def clear_switching_states(self):
        if self._mode is None:
            raise Exception("Cannot clear switcvhing states until a mode has been selected")
        self._phases = 0
        return (True, 0)

    def add_switching_state(self, duration, blank=False, cal=False, sig_ref_1=False):
        if self._mode is None:
            raise Exception("Cannot add switching states until a mode has been selected.")
        self._phases += 1
        return (True, self._phases)

    def set_gbt_ss(self, period, ss_list):
        if self._mode is None:
            raise Exception("Cannot set switching states until a mode has been selected.")
        if not all(isinstance(row, (list, tuple)) for row in ss_list):
            raise Exception("Possible syntax error with parameter 'ss_list'.")
        self._phases = 2 * len(ss_list)
        return (True, self._phases)

    def reset_roach(self):
        pass

    def arm_roach(self):
        pass

    def disarm_roach(self):
        pass

    def _watchdog(self):
        if self._scanning and utc_now() >= self._end:
            self._ended()

    def _ended(self):
        self._scanning = False
        self._status.update(NETSTAT="waiting", DISKSTAT="waiting")

    def _known(self, name):
        if name not in PARAMS:
            raise Exception("No such parameter '%s'. Legal parameters in this mode are: %s" % (name, sorted(PARAMS)))

    def _earliest(self, margin_s):
        now = utc_now()
        if not margin_s:
            return ceil_second(now) + timedelta(seconds=self._options.arm_delay)
        return ceil_second(now + timedelta(seconds=self._options.arm_delay + margin_s))

    @staticmethod
    def _seven(when):
        return [when.year, when.month, when.day, when.hour, when.minute, when.second, when.microsecond]


def listed(thing):
    """Pairs name, documentation; nothing for hardware that is not there."""
    names = [name for name in dir(thing) if not name.startswith("_") and callable(getattr(thing, name))]
    return [(name, getattr(thing, name).__doc__) for name in names] if thing is not None else []


def exception_triple():
    kind, error, _ = sys.exc_info()
    lines = traceback.format_exc().splitlines()[-TRACE_LINES:]
    text = repr(error.args[0]) if isinstance(error, KeyError) else str(error)
    return {"EXCEPTION": [kind.__name__, text, lines]}


def answer(interfaces, request):
    """What an old server replies; raises, and with it ends the process, where such a server does."""
    if request["proc"] == "list_methods":
        name = request["name"]
        return listed(interfaces[name]) if name in interfaces else ["Interface error", repr(name)]
    try:
        thing = interfaces[request["name"]]
        methods = {name: getattr(thing, name) for name in dir(thing) if callable(getattr(thing, name))}
        return methods[str(request["proc"])](*request["args"], **request["kwargs"])
    except Exception:
        return exception_triple()


def serve(options):
    context = zmq.Context()
    socket = context.socket(zmq.REP)
    socket.bind("tcp://127.0.0.1:%s" % (options.port or "*"))
    print("ready", socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode(), flush=True)
    bank = Bank(options)
    interfaces = {
        "bank": bank,
        "bank.roach": None if options.no_roach else Roach(),
        "bank.valon": None if options.no_roach else Valon(),
    }
    beat = time.monotonic()
    while True:
        if socket.poll(max(0, math.ceil((beat + 1.0 - time.monotonic()) * 1000))):
            request = json.loads(socket.recv().decode())
            if options.log:
                with open(options.log, "a", encoding="utf-8") as log:
                    called = "%s.%s" % (request.get("name"), request.get("proc"))
                    print(called, request.get("args"), request.get("kwargs"), file=log)
            socket.send_json(answer(interfaces, request))
        if time.monotonic() >= beat + 1.0:
            bank._watchdog()
            beat = time.monotonic()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0, help="of 127.0.0.1; 0: any")
    parser.add_argument("--set-mode-s", type=float, default=1.0, help="how long set_mode takes")
    parser.add_argument("--arm-delay", type=float, default=4.0, help="needed_arm_delay of all modes, s")
    parser.add_argument("--no-roach", action="store_true", help="no board: bank.roach and bank.valon list nothing")
    parser.add_argument("--refuse-start", action="store_true", help="start answers [false, ..] at once")
    parser.add_argument("--log", help="file for the requests, as they are carried out")
    serve(parser.parse_args())


if __name__ == "__main__":
    main()
