"""The synchronised start from a client: all players in the same second, or none.

    query --> choose the second --> start(S) to all --> all armed --> (look again at S + 2 s)
                                          | one refuses, is lost, or has not accepted by S - 1.5 s
                                          +--> stop() to those that took it

Players arm themselves before the same 1 PPS; that all of them do is the whole synchronism. A scan that is not of this
start is never stopped: a player that has not answered is stopped only when its state shows this start, or when it says
afterwards that it took it. Players of the old kind answer only when they have armed, and are stopped then.
"""

import queue
import time
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Dict, List, Optional, Sequence, Set

from . import wire
from .errors import RemoteError, RpcError
from .fleet import AFTER_START_S, READ_S, Answer, Policy, complaint, refused, runs
from .player import Player

if TYPE_CHECKING:
    from .direct import Direct

#: A player that has not accepted so long before the second will not arm in time.
ACCEPT_BEFORE_S = 1.5
#: How long an interrupted start is looked for on players, s.
GIVE_UP_S = 2.0
#: How often, s, it is looked whether a player has taken a start that is being taken back.
LOOK_S = 0.3
#: How long stopping may take, s.
STOP_S = 30.0
#: When it is looked whether all take data.
VERIFY_AFTER_S = 2.0
#: Clock offsets that are said, and that are refused: there are 0.9 s to arm.
OFFSET_WARN_S = 0.02
OFFSET_MAX_S = 0.4


@dataclass(frozen=True)
class Look:
    """A player before the start."""

    earliest: Optional[datetime]
    #: Why there is none.
    why: str
    running: bool
    #: It has `player_state`.
    ours: bool
    #: Its clock against this computer's, s, and how far that may be wrong.
    offset_s: Optional[float] = None
    uncertainty_s: float = 0.0


def look_at(player: Player) -> Look:
    """Asks a player what has to be known before anything is sent."""
    from .direct import proposed

    offset: Optional[float] = None
    uncertainty = 0.0
    try:
        asked = time.time()
        state = player.bank.call_within(READ_S, "player_state")
        replied = time.time()
        running, ours = state.get("state") in ("STARTING", "SCANNING"), True
        if isinstance(state.get("utc_ns"), int):
            offset, uncertainty = state["utc_ns"] / 1e9 - (asked + replied) / 2, (replied - asked) / 2
    except RemoteError:
        running, ours = runs(player.bank.call_within(READ_S, "scan_status")), False
    answer = Answer(player.bank.call_within(READ_S, "earliest_start"))
    at = proposed(answer)
    return Look(at, "" if at else complaint_of(answer), running, ours, offset, uncertainty)


def complaint_of(answer: Answer) -> str:
    """Why a player proposed no time."""
    return complaint(answer.value) if refused(answer.value) else f"it answered {answer.value!r}"


class Start:
    """One start of several players."""

    def __init__(
        self, fleet: "Direct", names: Sequence[str], at: Optional[datetime], policy: Policy, verify: bool
    ) -> None:
        self._fleet = fleet
        self._names = list(names)
        self._asked = at
        self._policy = policy
        self._verify = verify
        self._ours: Set[str] = set()
        self._dropped: Dict[str, Any] = {}
        self._armed: Dict[str, Answer] = {}
        self._stopped: Dict[str, Answer] = {}
        self._offsets: Dict[str, float] = {}
        self._called = self._start = datetime.now(timezone.utc)

    def run(self) -> Any:
        """``{player: [bool, text]}``; a second that is too early gives the pair ``(False, text)``."""
        if not self._names:
            raise RpcError("no player is active: add_active_player")
        looks = self._fleet.gather(self._names, look_at)
        refusal = self._choose(looks)
        if refusal is not None:
            return refusal if isinstance(refusal, tuple) else self._policy.judge(refusal)
        why = self._arm()
        result = {name: self._entry(name, why) for name in self._names}
        self._fleet.start_record = self._record(why)
        if why is not None:
            self._fleet.warn(f"the start was taken back: {why}")
        elif self._verify:
            self._look_again()
        return self._policy.judge({**result, **self._dropped})

    def _record(self, why: Optional[str]) -> Dict[str, Any]:
        """As a proxy tells it: `last_start` is the same either way."""
        states = self._fleet.states(self._names)

        def one(name: str) -> Dict[str, Any]:
            scan = states[name].get("scan") or {}
            offset = self._offsets.get(name)
            return {
                "mode": states[name].get("mode"),
                "arm_late_us": scan.get("arm_late_us"),
                "margin_ms": scan.get("arm_margin_ms"),
                "clock_offset_ms": None if offset is None else round(offset * 1e3, 3),
            }

        return {
            "start": written(self._start),
            "asked": None if self._asked is None else written(self._asked),
            "called": written(self._called),
            "failed": why,
            "players": {name: one(name) for name in self._names},
        }

    def _nobody(self, why: str) -> Dict[str, Any]:
        return {name: [False, why] for name in [*self._names, *self._dropped]}

    def _choose(self, answers: Dict[str, Answer]) -> Any:
        """Sets the second, or says why there is no start; nothing has been sent by then."""
        looks = {name: a.value for name, a in answers.items() if isinstance(a.value, Look)}
        running = [name for name, look in looks.items() if look.running]
        if running:
            others = f"not started: {', '.join(running)} is scanning already"
            return {name: [False, "Scan already started." if name in running else others] for name in self._names}
        silent = {name: f"did not answer: {complaint(a.entry(name, READ_S))}" for name, a in answers.items() if a.error}
        silent.update((name, look.why) for name, look in looks.items() if look.earliest is None)
        if silent:
            text = "; ".join(f"{name} {why}" for name, why in silent.items())
            if not self._policy.quorum or len(self._names) - len(silent) < self._policy.quorum:
                return self._nobody(f"not started: {text}")
            self._dropped = {name: [False, f"left out of the start: it {why}"] for name, why in silent.items()}
            self._names = [name for name in self._names if name not in silent]
            self._fleet.warn(f"started without: {text}")
        looks = {name: looks[name] for name in self._names}
        if not looks:
            return self._nobody("not started: no player said when it could")
        earliest = max(look.earliest for look in looks.values() if look.earliest is not None)
        self._start = earliest if self._asked is None else ceil_second(self._asked)
        if self._start < earliest:
            # The words of the reference, its slip included: scripts look for them.
            asked = self._asked or self._start
            return (False, f"Start time {asked} is earlier that earliest possible start time {earliest}")
        self._ours = {name for name, look in looks.items() if look.ours}
        return self._clocks(looks)

    def _clocks(self, looks: Dict[str, Look]) -> Any:
        for name, look in looks.items():
            if look.offset_s is None:
                continue
            self._offsets[name] = look.offset_s
            # Only what is certain counts: a slow round trip proves nothing.
            least = abs(look.offset_s) - look.uncertainty_s
            text = (
                f"the clock of {name} is {look.offset_s * 1e3:+.1f} ms from ours (+-{look.uncertainty_s * 1e3:.1f} ms)"
            )
            if least > OFFSET_MAX_S:
                return self._nobody(f"not started: {text}; set the clocks right (chronyc tracking)")
            if least > OFFSET_WARN_S:
                self._fleet.warn(text)
        return None

    def _left(self) -> float:
        """Until the second, s."""
        return (self._start - datetime.now(timezone.utc)).total_seconds()

    def _arm(self) -> Optional[str]:
        """Sends the start and waits for every answer; why it was taken back, if it was."""
        from .direct import one_thread_each

        limit = max(0.0, self._left()) + AFTER_START_S
        numbers = wire.seven(self._start)
        players = [self._fleet.players[name] for name in self._names]
        why: Optional[str] = None
        try:
            answers = one_thread_each(players, lambda p: p.bank.call_within(limit, "start", [numbers]))
            looked = False
            while len(self._armed) < len(self._names):
                try:
                    name, answer = answers.get(timeout=self._patience(looked, why))
                except queue.Empty:
                    if why is None:
                        looked = True
                        why = self._late()
                    if why is not None:
                        self._roll_back()
                    continue
                self._armed[name] = answer
                self._fleet.note(name, answer)
                if why is None and not answer.succeeded:
                    why = f"{name}: {complaint(answer.entry(name, limit))}"
                    self._roll_back()
                elif why is not None and answer.succeeded:
                    self._stop([name])
        except BaseException:
            # Interrupted by its user: a start that nobody waits for must not go on.
            self._give_up()
            raise
        return why

    def _give_up(self) -> None:
        """Takes back what was sent; players that have not read it yet are given a moment to show it."""
        until = time.monotonic() + GIVE_UP_S
        self._roll_back()
        while time.monotonic() < until and any(name not in self._stopped for name in self._ours):
            time.sleep(LOOK_S)
            self._roll_back()

    def _patience(self, looked: bool, why: Optional[str]) -> Optional[float]:
        """How long to wait for the next answer, s, before something is done without it. All answers have an end."""
        if why is not None:
            return LOOK_S
        return None if looked else max(0.0, self._left() - ACCEPT_BEFORE_S)

    def _late(self) -> Optional[str]:
        """1.5 s before the second: who has not accepted will not arm. Old players cannot say."""
        waiting = [name for name in self._names if name not in self._armed and name in self._ours]
        late = sorted(set(waiting) - set(self._taken(waiting)))
        if not late:
            return None
        return f"{', '.join(late)}: the start was not accepted {ACCEPT_BEFORE_S} s before the second"

    def _taken(self, names: List[str]) -> List[str]:
        """Those whose state shows this start."""
        second = self._start.strftime("%Y-%m-%d %H:%M:%S")
        states = self._fleet.states(names)
        return [name for name in names if (states[name].get("scan") or {}).get("start") == second]

    def _roll_back(self) -> None:
        """Stops those that have this start. The others are stopped when they say that they took it."""
        took = [name for name, answer in self._armed.items() if answer.succeeded]
        # Also of one that was lost: it may be there again, with this start.
        open_ = [n for n in self._names if n not in self._armed or self._armed[n].error is not None]
        unknown = [n for n in open_ if n in self._ours and n not in self._stopped]
        self._stop([*took, *self._taken(unknown)])

    def _stop(self, names: List[str]) -> None:
        new = [name for name in names if name not in self._stopped]
        self._stopped.update(self._fleet.gather(new, lambda p: p.bank.call_within(STOP_S, "stop")))

    def _entry(self, name: str, why: Optional[str]) -> Any:
        answer = self._armed[name]
        stop = self._stopped.get(name)
        # Its start says it was cancelled: that was the stop of this start.
        cancelled = stop is not None and stop.succeeded and isinstance(answer.error, RemoteError)
        if why is None or not (answer.succeeded or cancelled):
            return answer.entry(name, AFTER_START_S)
        if stop is None or stop.succeeded:
            return [False, f"not started: {why}; stopped"]
        failed = complaint(stop.entry(name, STOP_S))
        return [False, f"not started: {why}; IT MAY BE SCANNING ALONE, stop failed: {failed}"]

    def _look_again(self) -> None:
        time.sleep(max(0.0, self._left() + VERIFY_AFTER_S))
        for name, entry in self._fleet.entries(self._names, "scan_status").items():
            if not runs(entry) or "NETSTAT=receiving" not in entry:
                self._fleet.warn(f"{name} does not take data {VERIFY_AFTER_S:g} s after the start: {entry}")


def written(when: datetime) -> str:
    """A time of UTC as nodes write it: a fraction only if there is one."""
    utc = when.astimezone(timezone.utc).replace(tzinfo=None)
    return utc.strftime("%Y-%m-%d %H:%M:%S" if utc.microsecond == 0 else "%Y-%m-%d %H:%M:%S.%f")


def ceil_second(when: datetime) -> datetime:
    """The whole second not before a time."""
    whole = when.replace(microsecond=0)
    return whole if whole == when else whole + timedelta(seconds=1)
