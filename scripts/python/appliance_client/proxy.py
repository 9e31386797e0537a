"""Players reached through the dealer proxy: one connection, one request, the proxy asks them all."""

import time
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from . import wire
from .caller import Caller
from .control import Holding
from .errors import RemoteKeyError, RpcError
from .fleet import AFTER_START_S, READ_S, Fleet, Policy, Tell, complaint, deadline_of, refused
from .player import Interface, Player
from .rpc import Link

#: The proxy answers for each player; it is given this much more, s, than its players.
MARGIN_S = 5.0
#: How long stopping may take, s.
STOP_S = 30.0
#: Methods that also tell the proxy its own number, when they are for all of its players and name none.
COUNTING = frozenset({"set_scan_number", "increment_scan_number"})
#: A wait for the end of a scan is asked for in pieces of this, s, so that a lost proxy is noticed.
WAIT_PIECE_S = 60.0


class Proxied(Fleet):
    """Sends every call to the interface ``dealer`` of a proxy."""

    def __init__(self, url: str, who: Optional[str] = None) -> None:
        self.url = url
        #: One for all: a lease of the proxy is one of its players, too.
        self.caller = Caller(who)
        self.link = Link(url, self.caller)
        self.dealer = Interface(self.link, "dealer")
        names = self.dealer.call_within(READ_S + MARGIN_S, "list_available_players")
        self.players = {str(name): Player(str(name), url, str(name), self.caller) for name in names}

    def ask(self, method: str, within_s: float, args: Sequence[Any] = (), **kwargs: Any) -> Any:
        """A method of the interface ``dealer``; ``within_s``: what its players are given."""
        return self.dealer.call_within(within_s + MARGIN_S, method, args, kwargs)

    def each(
        self,
        names: Sequence[str],
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        deadline_s: Optional[float],
        policy: Policy,
    ) -> Dict[str, Any]:
        # Not what the proxy takes for its own: `set_param(policy=..)` is no parameter of a player either.
        taken = sorted({"players", "deadline_s", "policy"} & set(kwargs))
        if taken:
            raise TypeError(f"{method}: {', '.join(taken)} cannot be an argument of a player's method")
        limit = deadline_s or deadline_of(method, args, kwargs)
        more: Dict[str, Any] = {"players": list(names)}
        if method in COUNTING and sorted(self.ask("list_active_players", READ_S)) == sorted(names):
            more = {}
        if deadline_s is not None:
            more["deadline_s"] = deadline_s
        if policy.text == "best_effort":
            more["policy"] = policy.text  # the others are judged here, with the result in the exception
        result: Dict[str, Any] = self.ask(method, limit, args, **kwargs, **more)
        return policy.judge(result)

    def holdings(self, names: Sequence[str]) -> List[Holding]:
        return [Holding("proxy", self.url, self.caller)]

    def scan_number(self) -> Optional[int]:
        number = self.snapshot().get("scan_number")
        return number if isinstance(number, int) else None

    def get_mode(self, names: Sequence[str]) -> Tuple[bool, Any]:
        same, mode = self.ask("get_mode", READ_S, players=list(names))
        return bool(same), mode

    def list_modes(self, names: Sequence[str], detail: bool) -> Any:
        return self.ask("list_modes", READ_S, players=list(names), detail=detail)

    def earliest_start(self, names: Sequence[str]) -> datetime:
        reply = self.ask("earliest_start", READ_S, players=list(names))
        if refused(reply):
            raise RpcError(f"no player said when it could start: {complaint(reply)}")
        return wire.utc(reply[1])

    def start(self, names: Sequence[str], at: Optional[datetime], policy: Policy, verify: bool) -> Any:
        ahead = 15.0 if at is None else max(0.0, (at - datetime.now(timezone.utc)).total_seconds())
        more = {"policy": policy.text} if policy.quorum else {}
        numbers = None if at is None else wire.seven(at)
        before = self._scans()
        try:
            result = self.ask("start", ahead + AFTER_START_S, [numbers], players=list(names), **more)
        except Exception:
            raise
        except BaseException:
            # Interrupted by its user: a start that nobody waits for must not go on.
            self._take_back(names, before)
            raise
        return tuple(result) if isinstance(result, list) else policy.judge(result)

    def _scans(self) -> Dict[str, Any]:
        """The start second of the scan of each player that has one."""
        players = self.snapshot().get("players") or {}
        states = {name: (seat or {}).get("player_state") or {} for name, seat in players.items()}
        scans = {name: (state.get("scan") or {}).get("start") for name, state in states.items()}
        return {name: start for name, start in scans.items() if start is not None}

    def _take_back(self, names: Sequence[str], before: Mapping[str, Any]) -> None:
        """Stops what was begun; a scan that was there before the start is not touched."""
        link = Link(self.url, self.caller)  # the other connection is owed a reply
        try:
            now = self._scans()
            ours = [name for name in names if name not in before or now.get(name) != before[name]]
            if ours:
                link.call("dealer", "stop", (), {"players": ours}, STOP_S + MARGIN_S)
        except RpcError:
            pass  # the interrupt is what matters; a lost proxy ends the start by itself or tells of it
        finally:
            link.close()

    def wait_for_scan(
        self, names: Sequence[str], timeout_s: Optional[float], poll_s: float, tell: Optional[Tell]
    ) -> Tuple[bool, Dict[str, Any]]:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        longest = poll_s if tell is not None else WAIT_PIECE_S
        while True:
            left = longest if until is None else min(longest, until - time.monotonic())
            piece = max(0.1, left)
            ended, entries = self.ask(
                "wait_for_scan", piece + READ_S, timeout_s=piece, poll=poll_s, players=list(names)
            )
            if tell is not None:
                tell(entries)
            over = until is not None and time.monotonic() >= until
            if ended or over or not _any_runs(entries):
                return bool(ended), entries

    def help_param(self, names: Sequence[str], param: Optional[str]) -> Any:
        return self.ask("help_param", READ_S, [] if param is None else [param], players=list(names))

    def scan_summary(self, names: Sequence[str]) -> Dict[str, Any]:
        result: Dict[str, Any] = self.ask("scan_summary", READ_S, players=list(names))
        return result

    def snapshot(self) -> Dict[str, Any]:
        result: Dict[str, Any] = self.ask("snapshot", READ_S)
        return result

    def last_warnings(self) -> List[Any]:
        result: List[Any] = self.ask("last_warnings", READ_S)
        return result

    def last_errors(self) -> Dict[str, Any]:
        result: Dict[str, Any] = self.ask("last_errors", READ_S)
        return result

    def last_start(self) -> Optional[Dict[str, Any]]:
        result: Optional[Dict[str, Any]] = self.ask("last_start", READ_S)
        return result

    def methods(self) -> Dict[str, str]:
        return self.dealer.methods

    def own(self, method: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """A method that only a proxy has: ``journal``, ``health``, ``groups``."""
        if method not in self.dealer.methods:
            raise RemoteKeyError("KeyError", f"'{method}'")
        return self.ask(method, deadline_of(method), args, **kwargs)

    def close(self) -> None:
        self.link.close()
        for player in self.players.values():
            player.close()


def _any_runs(entries: Mapping[str, Any]) -> bool:
    return any(isinstance(e, (list, tuple)) and len(e) > 0 and e[0] is True for e in entries.values())
