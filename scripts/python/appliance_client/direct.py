"""Players reached directly: one thread for each player a call goes to."""

import queue
import threading
import time
from collections import deque
from datetime import datetime, timezone
from typing import Any, Callable, Deque, Dict, List, Mapping, Optional, Sequence, Tuple

from . import wire
from .caller import Caller
from .control import Holding
from .errors import RemoteError, RpcError
from .fleet import READ_S, Answer, Fleet, Policy, Tell, deadline_of, runs
from .player import Player

#: Warnings that are remembered.
WARNINGS_MAX = 100

#: Asks one player; what it raises becomes its answer.
Ask = Callable[[Player], Any]


def one_thread_each(players: Sequence[Player], ask: Ask) -> "queue.Queue[Tuple[str, Answer]]":
    """Asks all at the same time; answers come as they come. ``ask`` must end by itself."""
    answers: "queue.Queue[Tuple[str, Answer]]" = queue.Queue(maxsize=max(1, len(players)))

    def one(player: Player) -> None:
        try:
            answer = Answer(ask(player))
        except Exception as error:  # becomes the entry of this player
            answer = Answer(error=error)
        answers.put((player.name, answer))

    for player in players:
        threading.Thread(target=one, args=(player,), name=f"ask-{player.name}", daemon=True).start()
    return answers


class Direct(Fleet):
    """Talks to each player itself."""

    def __init__(
        self, urls: Mapping[str, str], masters: Optional[Mapping[str, str]] = None, who: Optional[str] = None
    ) -> None:
        #: Modes of a shared board, and who programs it.
        self.masters = dict(masters or {})
        # Each has a lease of its own.
        self.players = {name: Player(name, url, caller=Caller(who)) for name, url in urls.items()}
        self._warnings: Deque[List[str]] = deque(maxlen=WARNINGS_MAX)
        self._errors: Dict[str, List[str]] = {}
        self.start_record: Optional[Dict[str, Any]] = None

    def gather(self, names: Sequence[str], ask: Ask) -> Dict[str, Answer]:
        """One answer of each."""
        answers = one_thread_each([self.players[name] for name in names], ask)
        got = dict(answers.get() for _ in names)
        for name, answer in got.items():
            self.note(name, answer)
        return {name: got[name] for name in names}

    def note(self, name: str, answer: Answer) -> None:
        """Keeps an error for ``last_errors``."""
        if answer.error is not None:
            self._errors[name] = [_now(), f"{type(answer.error).__name__}: {answer.error}"]

    def warn(self, text: str) -> None:
        """Keeps a warning for ``last_warnings``."""
        self._warnings.append([_now(), text])

    def entries(
        self,
        names: Sequence[str],
        method: str,
        args: Sequence[Any] = (),
        kwargs: Optional[Mapping[str, Any]] = None,
        within_s: Optional[float] = None,
    ) -> Dict[str, Any]:
        """One entry of each."""
        limit = within_s or deadline_of(method, args, kwargs)
        answers = self.gather(names, lambda p: p.bank.call_within(limit, method, args, kwargs))
        return {name: answer.entry(name, limit) for name, answer in answers.items()}

    def each(
        self,
        names: Sequence[str],
        method: str,
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
        deadline_s: Optional[float],
        policy: Policy,
    ) -> Dict[str, Any]:
        mode = (list(args) or [kwargs.get("mode")])[0]
        if method == "set_mode" and isinstance(mode, str) and mode in self.masters:
            from .mode import shared_board

            limit = deadline_s or deadline_of(method)
            return policy.judge(shared_board(self, names, self.masters[mode], args, kwargs, limit, policy))
        return policy.judge(self.entries(names, method, args, kwargs, deadline_s))

    def holdings(self, names: Sequence[str]) -> List[Holding]:
        return [Holding(name, self.players[name].url, self.players[name].link.caller) for name in names]

    def scan_number(self) -> Optional[int]:
        return None

    def get_mode(self, names: Sequence[str]) -> Tuple[bool, Any]:
        answers = self.gather(names, lambda p: p.bank.call_within(READ_S, "get_mode"))
        modes = {name: answer.entry(name, READ_S) for name, answer in answers.items()}
        values = list(modes.values())
        same = bool(values) and all(a.error is None for a in answers.values())
        if same and all(mode == values[0] for mode in values):
            return True, values[0]
        return False, modes

    def list_modes(self, names: Sequence[str], detail: bool) -> Any:
        answers = self.gather(names, lambda p: p.bank.call_within(READ_S, "list_modes"))
        having: Dict[str, List[str]] = {}
        lists = {name: a.value for name, a in answers.items() if a.error is None and isinstance(a.value, list)}
        for name in names:
            for mode in lists.get(name, []):
                having.setdefault(mode, []).append(name)
            if name not in lists:
                self.warn(f"list_modes: {name} did not say: {answers[name].entry(name, READ_S)}")
        if names and not lists:
            raise RpcError(f"no player could list its modes: {_reasons(answers)}")
        if detail:
            return {mode: sorted(having[mode]) for mode in sorted(having)}
        return sorted(mode for mode, who in having.items() if len(who) == len(lists))

    def earliest_start(self, names: Sequence[str]) -> datetime:
        answers = self.gather(names, lambda p: p.bank.call_within(READ_S, "earliest_start"))
        times = {name: proposed(answer) for name, answer in answers.items()}
        for name, at in times.items():
            if at is None:
                self.warn(f"earliest_start: {name} did not say: {answers[name].entry(name, READ_S)}")
        usable = [at for at in times.values() if at is not None]
        if not usable:
            raise RpcError(f"no player said when it could start: {_reasons(answers)}")
        return max(usable)

    def start(self, names: Sequence[str], at: Optional[datetime], policy: Policy, verify: bool) -> Any:
        from .start import Start

        return Start(self, names, at, policy, verify).run()

    def wait_for_scan(
        self, names: Sequence[str], timeout_s: Optional[float], poll_s: float, tell: Optional[Tell]
    ) -> Tuple[bool, Dict[str, Any]]:
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            answers = self.gather(names, lambda p: p.bank.call_within(READ_S, "scan_status"))
            entries = {name: answer.entry(name, READ_S) for name, answer in answers.items()}
            if tell is not None:
                tell(entries)
            if not any(runs(entry) for entry in entries.values()):
                # Whether those that cannot be asked run nobody can say.
                return all(answer.error is None for answer in answers.values()), entries
            left = poll_s if until is None else min(poll_s, until - time.monotonic())
            if left <= 0:
                return False, entries
            time.sleep(left)

    def help_param(self, names: Sequence[str], param: Optional[str]) -> Any:
        args = [] if param is None else [param]
        error: Exception = RpcError("no player is active: add_active_player")
        for name in names:
            try:
                return self.players[name].bank.call_within(READ_S, "help_param", args)
            except RpcError as failed:
                self.note(name, Answer(error=failed))
                error = failed
        raise error

    def scan_summary(self, names: Sequence[str]) -> Dict[str, Any]:
        entries = self.entries(names, "scan_status")
        running = [name for name, entry in entries.items() if runs(entry)]
        states: Dict[str, int] = {}
        remaining: List[float] = []
        for state in self.states(names).values():
            word = str(state.get("state", "unknown"))
            states[word] = states.get(word, 0) + 1
            left = (state.get("scan") or {}).get("remaining_s")
            if isinstance(left, (int, float)):
                remaining.append(float(left))
        return {
            "running_any": bool(running),
            "running_all": bool(entries) and len(running) == len(entries),
            "states": states,
            "remaining_min_s": min(remaining, default=None),
            "remaining_max_s": max(remaining, default=None),
        }

    def states(self, names: Sequence[str]) -> Dict[str, Dict[str, Any]]:
        """``player_state`` of each; empty for players that cannot say."""
        answers = self.gather(names, lambda p: p.bank.call_within(READ_S, "player_state"))
        return {name: a.value if isinstance(a.value, dict) else {} for name, a in answers.items()}

    def snapshot(self) -> Dict[str, Any]:
        names = list(self.players)
        answers = self.gather(names, lambda p: p.bank.call_within(READ_S, "player_state"))
        return {
            "time": _now(),
            "summary": self.scan_summary(names),
            "warnings": self.last_warnings(),
            "players": {name: _shown(name, answer) for name, answer in answers.items()},
        }

    def last_warnings(self) -> List[Any]:
        return list(self._warnings)

    def last_errors(self) -> Dict[str, Any]:
        return dict(self._errors)

    def last_start(self) -> Optional[Dict[str, Any]]:
        return self.start_record

    def methods(self) -> Dict[str, str]:
        found: Dict[str, str] = {}
        for player in self.players.values():
            found.update(player.bank.methods)
        return found

    def close(self) -> None:
        for player in self.players.values():
            player.close()


def proposed(answer: Answer) -> Optional[datetime]:
    """The time in ``[true, [y,m,d,h,m,s,us]]``."""
    value = answer.value
    try:
        return wire.utc(value[1]) if isinstance(value, list) and value[0] is True else None
    except (TypeError, ValueError, IndexError):
        return None


def _shown(name: str, answer: Answer) -> Dict[str, Any]:
    """A player in a snapshot; old ones are connected, but have no state to show."""
    return {
        "player": name,
        "connected": answer.error is None or isinstance(answer.error, RemoteError),
        "why": "" if answer.error is None else str(answer.error),
        "player_state": answer.value if isinstance(answer.value, dict) else None,
    }


def _reasons(answers: Mapping[str, Answer]) -> str:
    if not answers:
        return "no player is active: add_active_player"
    return "; ".join(f"{name}: {answer.entry(name, READ_S)}" for name, answer in answers.items())


def _now() -> str:
    return datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M:%S.%f")
