"""Requests and replies over ZeroMQ: every wait has an end, and nothing is sent behind the caller's back.

A request leaves only over a connection that stands (ZMQ_IMMEDIATE) and is dropped with its socket (LINGER 0): a call
that failed with :class:`NotConnected` is never carried out later. A connection that ends while a reply is owed is
noticed at once, not at the deadline.
"""

import os
import threading
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import zmq
from zmq.utils.monitor import recv_monitor_message

from . import wire
from .caller import Caller
from .errors import ConnectionLost, NoReply, NotConnected

#: Longest wait for a connection, s.
CONNECT_S = 2.0
#: The same for a server that was down when it was called last: the socket goes on trying meanwhile.
STILL_DOWN_S = 0.5
#: Idle connections that are kept for the next call; a process needs more only for calls from several threads.
IDLE_MAX = 4
#: A request that the network has not taken after this, ms, ends its connection (where the system knows how).
UNACKNOWLEDGED_MS = 20_000


def open_socket(context: Any) -> Any:
    """A REQ socket that sends over a standing connection or not at all. Of ``zmq`` or ``zmq.asyncio``."""
    socket = context.socket(zmq.REQ)
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 250)
    # A host that is switched off says nothing: the kernel finds out. Heartbeats of ZeroMQ would cut off old peers.
    socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
    socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 10)
    socket.setsockopt(zmq.TCP_KEEPALIVE_INTVL, 5)
    socket.setsockopt(zmq.TCP_KEEPALIVE_CNT, 3)
    try:
        socket.setsockopt(zmq.TCP_MAXRT, UNACKNOWLEDGED_MS)
    except (AttributeError, zmq.ZMQError):
        pass  # a library without it: keepalive has to do
    return socket


def checked(url: Any) -> str:
    """The address; ValueError for what is none."""
    if not isinstance(url, str) or "://" not in url:
        raise ValueError(f"{url!r} is no address: write tcp://host:port")
    return url


class Wire:
    """A REQ socket with its monitor, and the words for what becomes of a call on it. Of ``zmq`` or ``zmq.asyncio``."""

    def __init__(self, context: Any, url: str) -> None:
        self.url = url
        self._socket = open_socket(context)
        self._events = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        try:
            self._socket.connect(url)
        except zmq.ZMQError as error:
            self.close()
            raise NotConnected(
                f"{url} is no address that can be connected to ({error}); write tcp://host:port"
            ) from None

    def close(self) -> None:
        """At once; what was not sent is dropped."""
        self._socket.disable_monitor()
        self._events.close(linger=0)
        self._socket.close(linger=0)

    def _unconnected(self, what: str, patience_s: float) -> NotConnected:
        return NotConnected(f"{what}: no connection to {self.url} within {patience_s:g} s")

    def _unsent(self, what: str) -> NotConnected:
        return NotConnected(f"{what}: the connection to {self.url} ended before the request was sent")

    def _lost(self, what: str) -> ConnectionLost:
        return ConnectionLost(f"{what}: {self.url} closed the connection before it replied")

    def _late(self, what: str, timeout_s: float) -> NoReply:
        return NoReply(f"{what}: no reply from {self.url} within {timeout_s:g} s; it may still be at it")


class Connection(Wire):
    """One call at a time."""

    def __init__(self, url: str) -> None:
        super().__init__(zmq.Context.instance(), url)
        self._patience_s = CONNECT_S

    def call(self, body: bytes, what: str, timeout_s: float) -> bytes:
        """The reply. After an exception other than :class:`NotConnected` the connection is of no use any more."""
        until = time.monotonic() + timeout_s
        patience, self._patience_s = min(self._patience_s, timeout_s), STILL_DOWN_S
        if not self._socket.poll(_ms(patience), zmq.POLLOUT):
            raise self._unconnected(what, patience)
        self._patience_s = CONNECT_S
        self._disconnected()  # of earlier connections
        try:
            self._socket.send(body, zmq.NOBLOCK)
        except zmq.Again:
            raise self._unsent(what) from None
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._events, zmq.POLLIN)
        while True:
            left = until - time.monotonic()
            poller.poll(_ms(left))
            # The reply first: it may have come just before the end.
            if self._socket.poll(0, zmq.POLLIN):
                return bytes(self._socket.recv(zmq.NOBLOCK))
            if self._disconnected():
                raise self._lost(what)
            if left <= 0:
                raise self._late(what, timeout_s)

    def _disconnected(self) -> bool:
        """Has a connection ended since this was asked last?"""
        ended = False
        while self._events.poll(0):
            recv_monitor_message(self._events, zmq.NOBLOCK)
            ended = True
        return ended


def _ms(seconds: float) -> int:
    return max(0, int(seconds * 1000) + 1) if seconds > 0 else 0


class Link:
    """Calls to one server, from any number of threads: each call has a connection of its own for as long as it runs."""

    def __init__(self, url: str, caller: Optional[Caller] = None) -> None:
        self.url = checked(url)
        self.caller = caller or Caller()
        self._lock = threading.Lock()
        self._idle: List[Tuple[int, Connection]] = []
        self._closed = False

    def call(
        self,
        interface: str,
        method: str,
        args: Sequence[Any] = (),
        kwargs: Optional[Mapping[str, Any]] = None,
        timeout_s: float = 60.0,
    ) -> Any:
        """The result of ``interface.method(*args, **kwargs)``; ``timeout_s`` from now to the reply."""
        what = f"{interface}.{method}"
        body = wire.encode(interface, method, args, kwargs or {}, self.caller.beside(timeout_s))
        connection = self._take()
        kept = False
        try:
            reply = connection.call(body, what, timeout_s)
            kept = True
        except NotConnected:
            kept = True  # it goes on trying, and nothing is owed
            raise
        finally:
            # Also when the caller is interrupted: a REQ socket that is owed a reply cannot be used again.
            self._give_back(connection, kept)
        return wire.decode(reply, what)

    def methods(self, interface: str, timeout_s: float = 5.0) -> Dict[str, str]:
        """Name to documentation of the methods of an interface."""
        return wire.methods(self.call(interface, "list_methods", timeout_s=timeout_s), interface)

    def close(self) -> None:
        """Closes what is idle; calls that run end as they would."""
        with self._lock:
            self._closed, idle = True, self._idle
            self._idle = []
        for _, connection in idle:
            connection.close()

    def _take(self) -> Connection:
        with self._lock:
            if self._closed:
                raise NotConnected(f"the link to {self.url} was closed")
            # Sockets do not survive a fork.
            self._idle = [(pid, c) for pid, c in self._idle if pid == os.getpid()]
            if self._idle:
                return self._idle.pop()[1]
        return Connection(self.url)

    def _give_back(self, connection: Connection, usable: bool) -> None:
        with self._lock:
            if usable and not self._closed and len(self._idle) < IDLE_MAX:
                self._idle.append((os.getpid(), connection))
                return
        connection.close()
