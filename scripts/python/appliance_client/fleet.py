"""What several players answer to one call, and the two ways to reach them share."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from .control import Holding
from .errors import FanOutError, NoReply, RemoteError, RpcError
from .player import Player

#: How long a player may take, s, by method. Everything else is a read.
DEADLINES: Dict[str, float] = {
    "set_mode": 120.0,
    "prepare": 30.0,
    "stop": 30.0,
    "monitor": 30.0,
    "reset_roach": 30.0,
    "arm_roach": 30.0,
    "disarm_roach": 30.0,
    "check_shared_memory": 30.0,
    "clear_shared_memory": 30.0,
    "reformat_data_buffers": 30.0,
    "set_param": 5.0,
    "set_status": 5.0,
    "set_scan_number": 5.0,
    "increment_scan_number": 5.0,
    "add_switching_state": 5.0,
    "clear_switching_states": 5.0,
    "set_gbt_ss": 5.0,
    "set_cov_mode": 5.0,
    "write_cmd": 5.0,
    "schedule": 5.0,
    "unschedule": 5.0,
}
#: A read, s.
READ_S = 2.0
#: A start is given this much, s, after its second.
AFTER_START_S = 30.0


def deadline_of(method: str, args: Sequence[Any] = (), kwargs: Optional[Mapping[str, Any]] = None) -> float:
    """The time limit of a method, s."""
    if method == "startin":
        given = [*args[:1], (kwargs or {}).get("inSecs")]
        ahead = next((float(n) for n in given if isinstance(n, (int, float))), 0.0)
        return ahead + AFTER_START_S
    if method == "start":
        return 15.0 + AFTER_START_S
    return DEADLINES.get(method, READ_S)


@dataclass(frozen=True)
class Policy:
    """What it means for a call when single players fail.

    ``all``, ``best_effort``: the result tells, player by player. ``strict``: any failure is a :class:`FanOutError`.
    ``quorum=N``: fewer than N successes are.
    """

    text: str = "all"
    quorum: int = 0

    @classmethod
    def of(cls, text: str) -> "Policy":
        """ValueError for what is none."""
        if text in ("all", "best_effort", "strict"):
            return cls(text)
        word, _, number = text.partition("=")
        if word == "quorum" and number.isdigit():
            return cls(text, int(number))
        raise ValueError(f"policy '{text}' is unknown; write 'all', 'best_effort', 'strict' or 'quorum=N'")

    def judge(self, result: Dict[str, Any]) -> Dict[str, Any]:
        """The result itself, or the exception it comes to."""
        failed = sorted(name for name, entry in result.items() if refused(entry))
        good = len(result) - len(failed)
        if (self.text == "strict" and failed) or good < self.quorum:
            why = "; ".join(f"{name}: {complaint(result[name])}" for name in failed)
            raise FanOutError(f"{len(failed)} of {len(result)} players failed ({why})", result)
        return result


@dataclass(frozen=True)
class Answer:
    """What one player answered: a value, or the exception that came instead."""

    value: Any = None
    error: Optional[Exception] = None

    @property
    def succeeded(self) -> bool:
        """Did it do what it was asked? Its own ``[false, ..]`` counts as no."""
        return self.error is None and not refused(self.value)

    def entry(self, player: str, within_s: float) -> Any:
        """The entry of the player in a result: its value, or ``[False, text]``."""
        if self.error is None:
            return self.value
        if isinstance(self.error, NoReply):
            text = f"No reply from {player} within {within_s:g} s; the request may still be running"
        elif isinstance(self.error, RpcError) and not isinstance(self.error, RemoteError):
            text = f"Lost connection to server for {player}."
        elif isinstance(self.error, RemoteError):
            text = str(self.error)
        else:
            text = f"{type(self.error).__name__}: {self.error}"
        return [False, text]


def refused(entry: Any) -> bool:
    """Is this the entry of a failure?"""
    return isinstance(entry, (list, tuple)) and len(entry) > 0 and entry[0] is False


def complaint(entry: Any) -> str:
    """The text of such an entry."""
    return str(entry[1]) if len(entry) > 1 else "it refused without a reason"


def runs(scan_status: Any) -> bool:
    """``[true, "NETSTAT=..", ..]``"""
    return isinstance(scan_status, (list, tuple)) and len(scan_status) > 0 and scan_status[0] is True


#: Told of the entries of a round of :meth:`Fleet.wait_for_scan`.
Tell = Callable[[Dict[str, Any]], None]


class Fleet(ABC):
    """Several players, reached directly or through the proxy."""

    players: Dict[str, Player]

    @abstractmethod
    def each(
        self,
        names: Sequence[str],
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        deadline_s: Optional[float],
        policy: Policy,
    ) -> Dict[str, Any]:
        """One entry for each of these players, always."""

    @abstractmethod
    def holdings(self, names: Sequence[str]) -> List[Holding]:
        """The nodes whose control means control of these players, and who calls them."""

    @abstractmethod
    def scan_number(self) -> Optional[int]:
        """The scan number of the instrument, where a proxy keeps it."""

    @abstractmethod
    def get_mode(self, names: Sequence[str]) -> Tuple[bool, Any]:
        """``(True, mode)``, or ``(False, {player: mode})``."""

    @abstractmethod
    def list_modes(self, names: Sequence[str], detail: bool) -> Any:
        """The modes all have, or an object mode to players."""

    @abstractmethod
    def earliest_start(self, names: Sequence[str]) -> datetime:
        """The latest of what they propose, UTC."""

    @abstractmethod
    def start(self, names: Sequence[str], at: Optional[datetime], policy: Policy, verify: bool) -> Any:
        """All in the same second, or none."""

    @abstractmethod
    def wait_for_scan(
        self, names: Sequence[str], timeout_s: Optional[float], poll_s: float, tell: Optional[Tell]
    ) -> Tuple[bool, Dict[str, Any]]:
        """Until none runs."""

    @abstractmethod
    def help_param(self, names: Sequence[str], param: Optional[str]) -> Any:
        """Of the first that can say."""

    @abstractmethod
    def scan_summary(self, names: Sequence[str]) -> Dict[str, Any]:
        """Any or all running, how many in which state, remaining time."""

    @abstractmethod
    def snapshot(self) -> Dict[str, Any]:
        """Everything known of every player."""

    @abstractmethod
    def last_warnings(self) -> List[Any]:
        """``[time, text]``, newest last."""

    @abstractmethod
    def last_errors(self) -> Dict[str, Any]:
        """``[time, text]`` of each player that had one."""

    @abstractmethod
    def last_start(self) -> Optional[Dict[str, Any]]:
        """What the last start came to."""

    @abstractmethod
    def methods(self) -> Dict[str, str]:
        """What can be called, with its documentation."""

    @abstractmethod
    def close(self) -> None:
        """Closes all connections."""
