"""The Dealer: commands several players at once, with one entry for each of them in every result."""

import os
import sys
from datetime import datetime, timedelta, timezone
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from . import site, wire
from .caller import checked_name
from .control import Control
from .direct import Direct
from .fleet import Fleet, Policy, refused
from .player import Player
from .proxy import Proxied

#: Address of a proxy, for `Dealer()` without arguments.
ENVIRONMENT = "APPLIANCE_DEALER"

Names = Union[None, str, Iterable[str]]


class Dealer:
    """Commands players: those of the site, those of a dictionary, or those of a dealer proxy.

    ``Dealer()``: the proxy of ``$APPLIANCE_DEALER``, else the players of ``$DIBAS_DIR/etc/config/dibas.conf``.
    ``Dealer({'BANKA': 'tcp://host:6667'})``: these players.
    ``Dealer(proxy='tcp://host:6668')``: the players of a proxy.
    ``active``: whom calls go to at first; all of them unless said otherwise.
    ``who``: the name others see, in the record too; ``user@host:process`` unless said otherwise.

    Every call to players gives an object player -> reply. A player that fails has the entry ``[False, text]``: one
    that is down does not keep the others from being asked. Every such method takes three more keywords:

    ``players``: a name or several, instead of the active ones; ``deadline_s``: how long a player may take, s;
    ``policy``: ``all`` (the result tells), ``strict`` (a failure raises), ``quorum=N`` (fewer than N successes raise).

    Methods of players that are not written out here are called the same way: ``d.reset_roach()``.
    """

    def __init__(
        self,
        players: Optional[Mapping[str, str]] = None,
        *,
        proxy: Optional[str] = None,
        active: Names = None,
        who: Optional[str] = None,
    ) -> None:
        self._fleet: Fleet = _fleet(players, proxy, None if who is None else checked_name(who))
        self._scan_number: Optional[int] = None
        self._active = list(self._fleet.players)
        if active is not None:
            self._active = self._named(active)

    # ---- players ---------------------------------------------------------------------------------------------

    @property
    def players(self) -> Dict[str, Player]:
        """Name to player: ``d.players['BANKA'].valon.get_frequency(0)`` reaches one of them."""
        return self._fleet.players

    @property
    def available_players(self) -> Dict[str, Player]:
        """The same."""
        return self._fleet.players

    def list_available_players(self) -> List[str]:
        """Names of all players, sorted; also of those that cannot be reached."""
        return sorted(self._fleet.players)

    def list_active_players(self) -> List[str]:
        """Names of the players that calls go to, sorted."""
        return sorted(self._active)

    def add_active_player(self, *names: Union[str, Iterable[str]]) -> List[str]:
        """Adds players to the active ones and lists these. Unknown names: ValueError, nothing is changed."""
        new = self._named(_flat(names))
        self._active += [name for name in new if name not in self._active]
        return self.list_active_players()

    def remove_active_player(self, *names: Union[str, Iterable[str]]) -> List[str]:
        """Takes players from the active ones and lists these. Unknown names: ValueError, nothing is changed."""
        gone = self._named(_flat(names))
        self._active = [name for name in self._active if name not in gone]
        return self.list_active_players()

    def _named(self, names: Names) -> List[str]:
        if names is None:
            return list(self._active)
        wanted = [names] if isinstance(names, str) else list(names)
        unknown = sorted(name for name in wanted if name not in self._fleet.players)
        if unknown:
            raise ValueError(
                f"no such player: {', '.join(unknown)}; there are: {', '.join(self.list_available_players())}"
            )
        return list(dict.fromkeys(wanted))

    def control(
        self, who: Optional[str] = None, seconds: float = 3600.0, purpose: str = "", players: Names = None
    ) -> Control:
        """Takes control of the players, or of the proxy, for so many seconds: ``with d.control("ann", 3600): ..``.

        Others cannot change anything meanwhile (where the site wants it so, ``listen.lease``); reads and ``stop`` are
        always allowed. All or none: FanOutError tells who refused, and who has control there. The lease ends with the
        block, or by ``release()``; ``renew(seconds)`` prolongs it.
        """
        nodes = self._fleet.holdings(self._named(players))
        name = checked_name(who) if who is not None else (nodes[0].caller.who if nodes else "")
        return Control(nodes, name, seconds, purpose).acquire()

    # ---- calls to each ---------------------------------------------------------------------------------------

    def call(self, method: str, *args: Any, **kwargs: Any) -> Dict[str, Any]:
        """Any method of players by its name, with ``players``, ``deadline_s`` and ``policy``."""
        names = self._named(kwargs.pop("players", None))
        deadline = _seconds(kwargs.pop("deadline_s", None))
        policy = Policy.of(kwargs.pop("policy", "all"))
        return self._fleet.each(names, method, args, kwargs, deadline, policy)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Only called for what is not written out: a method of the players, or of the proxy alone.
        if name.startswith("_"):
            raise AttributeError(name)
        known = self._fleet.methods()
        if known and name not in known:
            raise AttributeError(f"neither a Dealer nor a player has a method '{name}'")

        def method(*args: Any, **kwargs: Any) -> Any:
            if isinstance(self._fleet, Proxied) and name in PROXY_ONLY:
                if name == "health":
                    kwargs["players"] = self._named(kwargs.get("players"))
                return self._fleet.own(name, args, kwargs)
            return self.call(name, *args, **kwargs)

        method.__name__ = method.__qualname__ = name
        method.__doc__ = known.get(name, "")
        return method

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self._fleet.methods()})

    def set_mode(self, mode: str, bandwidth: Any = False, force: bool = False, **pick: Any) -> Dict[str, Any]:
        """Sets the mode of all: ``{player: [bool, text]}``. ``bandwidth``: synthesizer, MHz; up to 120 s.

        In a mode in which one player programs the board of all (``cdd_master_hpc`` of the mode in dibas.conf) it is the
        first, and the others follow when it has succeeded.
        """
        return self.call("set_mode", mode, bandwidth, force, **pick)

    def prepare(self, **pick: Any) -> Dict[str, Any]:
        """Computes what follows from the parameters and sends it to the hardware; up to 30 s."""
        return self.call("prepare", **pick)

    def set_param(self, **parameters: Any) -> Dict[str, Any]:
        """Sets parameters of the mode, alike for all. They take effect at prepare()."""
        return self.call("set_param", **parameters)

    def get_param(self, param: Optional[str] = None, **pick: Any) -> Dict[str, Any]:
        """Value of a parameter, by player; of all parameters without a name."""
        return self.call("get_param", *_given(param), **pick)

    def set_status(self, **cards: Any) -> Dict[str, Any]:
        """Writes keys of the status memory."""
        return self.call("set_status", **cards)

    def get_status(self, keys: Union[None, str, Sequence[str]] = None, **pick: Any) -> Dict[str, Any]:
        """Reads the status memory, by player: all of it, a list of keys, or one key's value."""
        return self.call("get_status", *_given(keys), **pick)

    def scan_status(self, **pick: Any) -> Dict[str, Any]:
        """``[running, "NETSTAT=..", "DISKSTAT=.."]``, by player."""
        return self.call("scan_status", **pick)

    def stop(self, **pick: Any) -> Dict[str, Any]:
        """Ends the scan or the monitor mode of all."""
        return self.call("stop", **pick)

    def monitor(self, **pick: Any) -> Dict[str, Any]:
        """Receives data without recording them."""
        return self.call("monitor", **pick)

    def startin(self, startin: float, scanlen: float, **pick: Any) -> Dict[str, Any]:
        """Sets the parameter ``scan_length`` to ``scanlen`` s and starts all in ``startin`` s from now.

        The second is chosen once, here: players that each counted from the arrival of a request would differ.
        """
        names = self._named(pick.get("players"))
        if len(names) == 1:  # nobody to agree with
            return self.call("startin", startin, scanlen, **pick)
        length = self.call("set_param", scan_length=scanlen, **pick)
        if any(refused(entry) for entry in length.values()):
            why = "not started: scan_length was not set everywhere"
            return {name: length[name] if refused(length[name]) else [False, why] for name in names}
        pick.pop("deadline_s", None)
        at = datetime.now(timezone.utc) + timedelta(seconds=startin)
        result = self.start(at, **pick)
        return result if isinstance(result, dict) else {name: list(result) for name in names}

    def clear_switching_states(self, **pick: Any) -> Dict[str, Any]:
        """Removes all switching states."""
        return self.call("clear_switching_states", **pick)

    def add_switching_state(
        self, duration: float, blank: bool = False, cal: bool = False, sig_ref_1: bool = False, **pick: Any
    ) -> Dict[str, Any]:
        """Appends a switching state of ``duration`` s. Takes effect at prepare()."""
        return self.call("add_switching_state", duration, blank, cal, sig_ref_1, **pick)

    def set_gbt_ss(self, period: float, ss_list: Sequence[Sequence[float]], **pick: Any) -> Dict[str, Any]:
        """Replaces the switching states by a cycle of ``period`` s.

        Rows of ``ss_list``: start as a part of the period, :data:`SWbits` SIG or REF, CALON or CALOFF, blanking in s.
        """
        return self.call("set_gbt_ss", period, ss_list, **pick)

    # ---- scan number -----------------------------------------------------------------------------------------

    @property
    def scan_number(self) -> Optional[int]:
        """The proxy's number; without one that set here, else the highest of the active players; None: nobody has one."""
        kept = self._fleet.scan_number()
        if kept is not None:
            return kept
        if self._scan_number is not None:
            return self._scan_number
        told = [_number(entry, "scan_number") for entry in self.call("player_state").values()]
        if not any(told):  # players that keep it in their status memory only
            told += [_number(entry, "SCANNUM") for entry in self.call("get_status", ["SCANNUM"]).values()]
        return max((n for n in told if n is not None), default=None)

    def set_scan_number(self, num: int, **pick: Any) -> Dict[str, Any]:
        """Sets the scan number of all."""
        self._scan_number = int(num)
        return self.call("set_scan_number", int(num), **pick)

    def increment_scan_number(self, **pick: Any) -> Dict[str, Any]:
        """Gives all of them the next scan number: one more than :attr:`scan_number`, the same for all.

        A proxy that keeps the number counts itself: several clients never give the same number twice.
        """
        if self._fleet.scan_number() is not None:
            return self.call("increment_scan_number", **pick)
        return self.set_scan_number((self.scan_number or 0) + 1, **pick)

    # ---- one answer for all ----------------------------------------------------------------------------------

    def get_mode(self, players: Names = None) -> Tuple[bool, Any]:
        """``(True, mode)`` if all have the same; otherwise ``(False, {player: mode})``."""
        return self._fleet.get_mode(self._named(players))

    def list_modes(self, detail: bool = False, players: Names = None) -> Any:
        """The modes that all players have, sorted; with ``detail`` an object mode -> players."""
        return self._fleet.list_modes(self._named(players), detail)

    def help_param(self, param: Optional[str] = None, players: Names = None) -> Any:
        """Help for a parameter: meaning, unit, range; for all of them without a name. Of the first player that says."""
        return self._fleet.help_param(self._named(players), param)

    def earliest_start(self, players: Names = None) -> datetime:
        """The latest of the players' earliest starts, an aware time of UTC. See last_warnings() for who did not say."""
        return self._fleet.earliest_start(self._named(players))

    def start(
        self,
        starttime: Union[None, datetime, Sequence[int]] = None,
        players: Names = None,
        policy: str = "all",
        verify: bool = False,
    ) -> Any:
        """Starts a scan on all players in the same second, or on none; returns when they are armed.

        ``starttime``: an aware datetime, or seven numbers of UTC; None: as early as possible. Result: ``{player:
        [bool, text]}``. A second that is too early gives the pair ``(False, text)`` and nothing is sent. If a player
        refuses, is lost or does not accept in time, those that took the start are stopped again.
        ``verify``: wait until 2 s after the second, and warn of players that take no data.
        """
        return self._fleet.start(self._named(players), _start_time(starttime), Policy.of(policy), verify)

    def wait_for_scan(
        self,
        verbose: bool = False,
        timeout_s: Optional[float] = None,
        poll_s: float = 1.0,
        players: Names = None,
    ) -> Tuple[bool, Dict[str, Any]]:
        """Waits until no player runs a scan: ``(True, {player: scan_status})``.

        ``(False, ..)`` when ``timeout_s`` is over, or when nobody is known to run but some could not be asked.
        ``verbose`` prints a line for each player and look. Ctrl-C ends the wait, not the scan.
        """
        if not poll_s > 0:
            raise ValueError(f"poll_s is {poll_s}; it must be more than 0 s")
        tell = _print_status if verbose else None
        return self._fleet.wait_for_scan(self._named(players), _seconds(timeout_s), poll_s, tell)

    def scan_summary(self, players: Names = None) -> Dict[str, Any]:
        """Are any or all running, how many are in which state, shortest and longest remaining time, s."""
        return self._fleet.scan_summary(self._named(players))

    def snapshot(self) -> Dict[str, Any]:
        """What is known of every player: ``players`` by name, with ``connected`` and ``player_state``; ``summary``."""
        return self._fleet.snapshot()

    def last_warnings(self) -> List[Any]:
        """What the operator should know: ``[time, text]``, newest last."""
        return self._fleet.last_warnings()

    def last_errors(self) -> Dict[str, Any]:
        """The last error of each player in full: ``[time, text]``."""
        return self._fleet.last_errors()

    def last_start(self) -> Optional[Dict[str, Any]]:
        """What the last start came to: ``start``, ``asked``, ``called``, ``failed`` (why it was taken back, or None) and
        ``players``, each with ``mode``, ``arm_late_us``, ``margin_ms`` and ``clock_offset_ms``."""
        return self._fleet.last_start()

    # ---- end -------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes all connections."""
        self._fleet.close()

    def __enter__(self) -> "Dealer":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return (
            f"<Dealer of {', '.join(self.list_available_players())}; active: {', '.join(self.list_active_players())}>"
        )


#: Methods of the proxy's own that have no entry for each player.
PROXY_ONLY = frozenset({"groups", "health", "journal"})


def _fleet(players: Optional[Mapping[str, str]], proxy: Optional[str], who: Optional[str]) -> Fleet:
    if players is not None and proxy is not None:
        raise ValueError("players or proxy, not both")
    if proxy is not None:
        return Proxied(proxy, who)
    if players is not None:
        if not isinstance(players, dict):
            raise Exception('Players must be in form of dict: {"Bank":"URL"}')  # class and words that scripts know
        return Direct(players, _masters(), who)
    if os.environ.get(ENVIRONMENT):
        return Proxied(os.environ[ENVIRONMENT], who)
    conf = site.dibas_conf()
    return Direct(site.players(conf), site.masters(conf), who)


def _masters() -> Dict[str, str]:
    """Of the site, if it has a configuration here: players given by their addresses need none."""
    try:
        return site.masters(site.dibas_conf()) if os.environ.get("DIBAS_DIR") else {}
    except OSError:
        return {}


def _start_time(starttime: Union[None, datetime, Sequence[int]]) -> Optional[datetime]:
    if starttime is None:
        return None
    if isinstance(starttime, (list, tuple)):
        return wire.utc(starttime)
    # Classes and words of the reference; any time zone will do here, as long as there is one.
    if not isinstance(starttime, datetime):
        raise Exception("start time provided to Dealer.start() must be a datetime.")
    if starttime.utcoffset() is None:
        raise Exception(
            "Start time must be specified in UTC, and must have UTC time zone set. "
            "Write datetime.now(timezone.utc), or starttime.replace(tzinfo=timezone.utc)."
        )
    return starttime.astimezone(timezone.utc)


def _flat(names: Iterable[Union[str, Iterable[str]]]) -> List[str]:
    flat: List[str] = []
    for name in names:
        flat += [name] if isinstance(name, str) else list(name)
    return flat


def _given(value: Any) -> List[Any]:
    return [] if value is None else [value]


def _number(entry: Any, key: str) -> Optional[int]:
    try:
        return int(entry[key])
    except (TypeError, ValueError, KeyError, IndexError):
        return None


def _seconds(value: Optional[float]) -> Optional[float]:
    if value is not None and not value > 0:
        raise ValueError(f"{value!r} is no time limit; write seconds, more than 0")
    return None if value is None else float(value)


def _print_status(entries: Dict[str, Any]) -> None:
    for name, entry in sorted(entries.items()):
        words = list(entry) if isinstance(entry, (list, tuple)) else [entry]
        if refused(entry) and len(words) == 2:
            line = str(words[1])
        else:
            line = " ".join(["Scanning" if words[:1] == [True] else "Stopped", *map(str, words[1:])])
        print(f"{name} {line}", file=sys.stdout, flush=True)
