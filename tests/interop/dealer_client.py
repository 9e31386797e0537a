"""A Dealer-like client of the JSON face, written from the description of what such clients do.

One `Proxy` per exported interface, three per player. What a server has to live with:

* the constructor connects, asks for the methods, waits 0.1 s and looks *once* for the answer;
* methods appear on the proxy as attributes, whenever that answer is in;
* a call that gets no reply in time prints, throws the socket away, opens another, asks for the
  methods again and returns None;
* a call while the list of methods is still owed does the same at once;
* nothing is taken back on close: a request thrown away may still be delivered and carried out.
"""

import threading
import time

import zmq

REGISTRATION_WAIT_S = 0.1
TIMEOUT_S = 60.0
BANK_TIMEOUT_S = 180.0


class RemoteError(Exception):
    """The server answered with an object that has the key EXCEPTION: [class, text, traceback]."""

    def __init__(self, triple):
        super().__init__(triple)
        self.kind, self.text, self.trace = triple


class Proxy:
    """One interface of one server. Not for use by two threads at a time."""

    def __init__(self, context, url, interface, timeout_s=TIMEOUT_S):
        self._context = context
        self._url = url
        self._interface = interface
        self.timeout_s = timeout_s
        self.reconnects = 0
        self._methods = {}
        self._owed = False
        self._open()
        time.sleep(REGISTRATION_WAIT_S)
        self.in_time = self.registered()

    @property
    def methods(self):
        """Name to documentation, of what is known so far."""
        return dict(self._methods)

    def __getattr__(self, name):
        # Only called for what is not an attribute: a method of the server, perhaps.
        if name.startswith("_"):
            raise AttributeError(name)
        self._collect()
        if name not in self._methods:
            raise AttributeError(f"{self._interface} has no method '{name}'")

        def call(*args, **kwargs):
            return self.call(name, *args, **kwargs)

        call.__name__ = name
        call.__doc__ = self._methods[name]
        return call

    def call(self, proc, *args, **kwargs):
        """Calls by name, known or not. None when there was no answer in time."""
        request = {"name": self._interface, "proc": proc, "args": list(args), "kwargs": kwargs}
        try:
            self._socket.send_json(request)
        except zmq.ZMQError as error:
            # A REQ socket that is still owed a reply.
            print(f"{self._interface}.{proc}: {error}; connecting again")
            self._reopen()
            return None
        if not self._socket.poll(int(self.timeout_s * 1000)):
            print(f"{self._interface}.{proc}: no reply within {self.timeout_s} s; connecting again")
            self._reopen()
            return None
        reply = self._socket.recv_json()
        if isinstance(reply, dict) and "EXCEPTION" in reply:
            raise RemoteError(reply["EXCEPTION"])
        return reply

    def registered(self):
        """Whether the list of methods has come over this connection. Looks, does not wait."""
        self._collect()
        return not self._owed

    def close(self):
        self._socket.close(linger=0)

    def _open(self):
        self._socket = self._context.socket(zmq.REQ)
        self._socket.connect(self._url)
        self._socket.send_json({"name": self._interface, "proc": "list_methods", "args": [], "kwargs": {}})
        self._owed = True

    def _reopen(self):
        self._socket.close()
        self.reconnects += 1
        self._open()

    def _collect(self):
        if not self._owed:
            return
        try:
            listed = self._socket.recv_json(flags=zmq.NOBLOCK)
        except zmq.Again:
            return
        self._owed = False
        # Raises ValueError on `["Interface error", ...]`: a wrong interface is noticed at once.
        self._methods = {name: doc for name, doc in listed}


class Player:
    """The three interfaces of one player."""

    def __init__(self, context, url):
        self.bank = Proxy(context, url, "bank", BANK_TIMEOUT_S)
        self.roach = Proxy(context, url, "bank.roach")
        self.valon = Proxy(context, url, "bank.valon")

    def close(self):
        for proxy in (self.bank, self.roach, self.valon):
            proxy.close()


class Dealer:
    """Several players; calls go to all of them, one after another or side by side."""

    SET_MODE_TIMEOUT_S = 120.0
    START_MARGIN_S = 30.0

    def __init__(self, urls):
        if type(urls) is not dict:
            raise Exception('Players must be in form of dict: {"Bank":"URL"}')
        self._context = zmq.Context()
        self.players = {name: Player(self._context, url) for name, url in urls.items()}

    def close(self):
        for player in self.players.values():
            player.close()
        self._context.destroy(linger=0)

    def in_turn(self, method, *args, **kwargs):
        return {name: getattr(p.bank, method)(*args, **kwargs) for name, p in self.players.items()}

    def side_by_side(self, method, *args, timeout_s=None):
        """One thread per player; an exception leaves None and is kept under `errors`."""
        results, self.errors = {name: None for name in self.players}, {}

        def one(name, bank):
            usual = bank.timeout_s
            bank.timeout_s = timeout_s or usual
            try:
                results[name] = getattr(bank, method)(*args)
            except Exception as error:  # as a thread of a client dies: alone
                self.errors[name] = error
            finally:
                bank.timeout_s = usual

        threads = [threading.Thread(target=one, args=(n, p.bank)) for n, p in self.players.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    def set_mode(self, mode, bandwidth=False, force=False):
        return self.side_by_side("set_mode", mode, bandwidth, force, timeout_s=self.SET_MODE_TIMEOUT_S)

    def set_param(self, **kwargs):
        return self.in_turn("set_param", **kwargs)

    def prepare(self):
        return self.side_by_side("prepare")

    def earliest_start(self):
        """The latest of what the players propose, as the seven numbers of the wire."""
        proposed = self.side_by_side("earliest_start")
        return max(when for usable, when in proposed.values() if usable)

    def start(self, when=None):
        when = when or self.earliest_start()
        # The wait for the second itself, whatever it is, is within the margin of a few seconds' delay.
        return self.side_by_side("start", when, timeout_s=self.START_MARGIN_S + 30)
