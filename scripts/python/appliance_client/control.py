"""Control of nodes for a while: others cannot change anything between our steps.

    with dealer.control("ann", 3600, purpose="commissioning"):
        dealer.set_mode("MODE1")

Whom a lease keeps out is the site's choice (``listen.lease`` of a node). Reads and ``stop`` are always allowed. It ends
with the block, or when its time is over; :meth:`Control.renew` prolongs it. The token goes with each request, whatever
connection that takes. Leases are asked for on connections of their own, which are closed again: one that is kept would
go on calling under a lease that has ended.
"""

import contextlib
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from .async_rpc import AsyncLink
from .caller import Caller
from .errors import FanOutError, RemoteError, RemoteKeyError, RpcError
from .rpc import Link

#: How long asking for a lease may take, s.
LEASE_S = 5.0


class Holding(NamedTuple):
    """A node, and who calls it."""

    name: str
    url: str
    caller: Caller


class Control:
    """Leases of one or several nodes, until :meth:`release`."""

    def __init__(self, nodes: Sequence[Holding], who: str, seconds: float, purpose: str) -> None:
        self.who = who
        self.seconds = seconds
        self.purpose = purpose
        #: What each node granted: ``{token, who, until, seconds}``, and what a proxy tells of its players.
        self.granted: Dict[str, Dict[str, Any]] = {}
        self._nodes = list(nodes)
        taken = sorted(node.name for node in nodes if node.caller.lease is not None)
        if taken:
            raise ValueError(f"control of {', '.join(taken)} is ours already: renew() or release() that first")

    def acquire(self) -> "Control":
        """Takes control of all nodes, or of none: FanOutError tells who refused, and who has control there."""
        result: Dict[str, Any] = {}
        try:
            for node in self._nodes:
                result[node.name] = self._acquire(node)
        except BaseException:
            self.release()
            raise
        refused = {name: entry[1] for name, entry in result.items() if entry[0] is False}
        if refused:
            self.release()
            why = "; ".join(f"{name}: {text}" for name, text in refused.items())
            raise FanOutError(f"no control of {len(refused)} of {len(result)} nodes ({why})", result)
        return self

    def _acquire(self, node: Holding) -> List[Any]:
        """The entry of a node: ``[True, until]``, or ``[False, why]``."""
        try:
            granted = _once(node, "acquire", [self.who, self.seconds, self.purpose])
        except RemoteKeyError:
            return [True, "it has no leases"]  # a player of the old kind: nothing to hold
        except RemoteError as error:
            return [False, error.message]
        except RpcError as error:
            return [False, str(error)]
        self.granted[node.name] = granted
        node.caller.lease = str(granted["token"])
        return [True, granted["until"]]

    @property
    def refused(self) -> Dict[str, str]:
        """Players that a proxy could not get control of, and why: somebody else has it. Writes to them are refused."""
        told: Dict[str, Any] = {}
        for granted in self.granted.values():
            told.update(granted.get("players") or {})
        return {name: str(entry[1]) for name, entry in told.items() if entry[0] is False}

    def renew(self, seconds: Optional[float] = None) -> None:
        """Sets how long it lasts from now on; absent: as long as it was asked for. Raises if it has ended anywhere."""
        for node in self._nodes:
            if node.name in self.granted:
                token = self.granted[node.name]["token"]
                lasts = self.seconds if seconds is None else seconds
                self.granted[node.name] = _once(node, "renew", [token, lasts])

    def release(self) -> Dict[str, bool]:
        """Gives control back. Node to whether it was still ours; a node that is not reached lets its time run out."""
        released: Dict[str, bool] = {}
        for node in self._nodes:
            granted = self.granted.pop(node.name, None)
            if granted is None:
                continue
            node.caller.lease = None
            released[node.name] = False
            with contextlib.suppress(RpcError):
                released[node.name] = bool(_once(node, "release", [granted["token"]]))
        return released

    def __enter__(self) -> "Control":
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def __repr__(self) -> str:
        held = ", ".join(f"{name} until {granted['until']}" for name, granted in self.granted.items())
        return f"<control by {self.who}: {held or 'released'}>"


def _once(node: Holding, method: str, args: Sequence[Any]) -> Any:
    with contextlib.closing(Link(node.url, Caller(node.caller.who))) as link:
        return link.call("rpc", method, args, timeout_s=LEASE_S)


class AsyncControl:
    """The lease of a CCD host: ``async with controller.control("ann", 3600): ..``."""

    def __init__(self, url: str, caller: Caller, who: str, seconds: float, purpose: str) -> None:
        self.who = who
        self.seconds = seconds
        self.purpose = purpose
        #: ``{token, who, until, seconds}``; None before and after.
        self.granted: Optional[Mapping[str, Any]] = None
        self._url = url
        self._caller = caller

    async def acquire(self) -> "AsyncControl":
        """Takes control; raises RemoteError with the name of who has it."""
        if self._caller.lease is not None:
            raise ValueError("control is ours already: renew() or release() that first")
        granted: Mapping[str, Any] = await self._once("acquire", [self.who, self.seconds, self.purpose])
        self.granted, self._caller.lease = granted, str(granted["token"])
        return self

    async def renew(self, seconds: Optional[float] = None) -> None:
        """Sets how long it lasts from now on; absent: as long as it was asked for. Raises if it has ended."""
        if self.granted is None:
            raise ValueError("control is not ours: acquire() first")
        lasts = self.seconds if seconds is None else seconds
        self.granted = await self._once("renew", [self.granted["token"], lasts])

    async def release(self) -> bool:
        """Gives control back; was it still ours? A host that is not reached lets its time run out."""
        granted, self.granted = self.granted, None
        if granted is None:
            return False
        self._caller.lease = None
        try:
            return bool(await self._once("release", [granted["token"]]))
        except RpcError:
            return False

    async def _once(self, method: str, args: Sequence[Any]) -> Any:
        link = AsyncLink(self._url, Caller(self._caller.who))
        try:
            return await link.call("rpc", method, args, timeout_s=LEASE_S)
        finally:
            link.close()

    async def __aenter__(self) -> "AsyncControl":
        return await self.acquire()

    async def __aexit__(self, *_: object) -> None:
        await self.release()
