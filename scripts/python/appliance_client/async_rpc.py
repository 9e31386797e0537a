"""The calls of :mod:`appliance_client.rpc`, awaitable."""

import asyncio
import os
import time
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import zmq
import zmq.asyncio

from . import wire
from .caller import Caller
from .errors import NotConnected
from .rpc import CONNECT_S, IDLE_MAX, Wire, checked

_contexts: Dict[int, Any] = {}


def _context() -> Any:
    """One of this process: sockets do not survive a fork."""
    pid = os.getpid()
    if pid not in _contexts:
        _contexts[pid] = zmq.asyncio.Context()
    return _contexts[pid]


class AsyncConnection(Wire):
    """One call at a time, in the loop it was made in."""

    def __init__(self, url: str) -> None:
        self.loop = asyncio.get_running_loop()
        super().__init__(_context(), url)
        #: The monitor's socket, for looks that do not wait.
        self._seen: Any = zmq.Socket.shadow(self._events.underlying)

    async def call(self, body: bytes, what: str, timeout_s: float) -> bytes:
        """The reply. After an exception other than :class:`NotConnected` the connection is of no use any more."""
        until = time.monotonic() + timeout_s
        patience = min(CONNECT_S, timeout_s)
        if not await self._socket.poll(int(patience * 1000), zmq.POLLOUT):
            raise self._unconnected(what, patience)
        self._disconnected()  # of earlier connections
        try:
            await self._socket.send(body, zmq.NOBLOCK)
        except zmq.Again:
            raise self._unsent(what) from None
        poller = zmq.asyncio.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._events, zmq.POLLIN)
        while True:
            left = until - time.monotonic()
            ready: Dict[Any, int] = dict(await poller.poll(max(0, int(left * 1000) + 1)))
            # The reply first: it may have come just before the end.
            if self._socket in ready or await self._socket.poll(0, zmq.POLLIN):
                return bytes(await self._socket.recv(zmq.NOBLOCK))
            if self._disconnected():
                raise self._lost(what)
            if left <= 0:
                raise self._late(what, timeout_s)

    def _disconnected(self) -> bool:
        """Has a connection ended since this was asked last?"""
        ended = False
        while self._seen.poll(0):
            self._seen.recv_multipart(zmq.NOBLOCK)
            ended = True
        return ended


class AsyncLink:
    """Calls to one server: each has a connection of its own for as long as it runs."""

    def __init__(self, url: str, caller: Optional[Caller] = None) -> None:
        self.url = checked(url)
        self.caller = caller or Caller()
        self._idle: List[Tuple[int, AsyncConnection]] = []
        self._closed = False

    async def call(
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
        connection = self._take(what)
        kept = False
        try:
            reply = await connection.call(body, what, timeout_s)
            kept = True
        except NotConnected:
            kept = True  # it goes on trying, and nothing is owed
            raise
        finally:
            # Also when the task is cancelled: a REQ socket that is owed a reply cannot be used again.
            self._give_back(connection, kept)
        return wire.decode(reply, what)

    def close(self) -> None:
        """Closes what is idle; calls that run end as they would."""
        self._closed, idle = True, self._idle
        self._idle = []
        for _, connection in idle:
            connection.close()

    def _take(self, what: str) -> AsyncConnection:
        if self._closed:
            raise NotConnected(f"{what}: the link to {self.url} was closed; start() opens it again")
        loop = asyncio.get_running_loop()
        # Not those of another process or another event loop.
        self._idle = [(pid, c) for pid, c in self._idle if pid == os.getpid() and c.loop is loop]
        return self._idle.pop()[1] if self._idle else AsyncConnection(self.url)

    def _give_back(self, connection: AsyncConnection, usable: bool) -> None:
        if usable and not self._closed and len(self._idle) < IDLE_MAX:
            self._idle.append((os.getpid(), connection))
        else:
            connection.close()

    def open(self) -> None:
        """Takes calls again after :meth:`close`."""
        self._closed = False
