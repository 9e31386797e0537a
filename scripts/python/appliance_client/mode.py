"""A mode change of players that share one board: the master programs it, the others follow."""

from typing import Any, Dict, Mapping, Sequence

from .direct import Direct
from .errors import RemoteError
from .fleet import READ_S, Policy, complaint, refused
from .player import Player

#: Deprogramming a board takes no longer, s.
SILENCE_S = 15.0


def shared_board(
    fleet: Direct,
    names: Sequence[str],
    master: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    within_s: float,
    policy: Policy,
) -> Dict[str, Any]:
    """``set_mode`` in order: the others' boards are silenced (they may have the addresses of the master's), the master
    sets the mode, then the others do. A master that fails keeps the others from changing anything."""

    def nobody(why: str, said: Mapping[str, Any]) -> Dict[str, Any]:
        return {name: said.get(name, [False, f"not done: {why}"]) for name in names}

    if master not in names:
        return nobody(f"{master}, which programs the board of all, is not among the players", {})
    against = {} if policy.text == "best_effort" else _against(fleet, names, args, kwargs)
    if against:
        return nobody(f"{', '.join(sorted(against))} would refuse it", against)
    others = [name for name in names if name != master]
    _silence(fleet, others)
    result = fleet.entries([master], "set_mode", args, kwargs, within_s)
    entry = result[master]
    # The master may have this mode and keep it: nothing that keeps the others from it.
    has_it = refused(entry) and " is already set!" in complaint(entry)
    if refused(entry) and not has_it and policy.text != "best_effort":
        return nobody(f"{master}, which programs the board, failed: {complaint(entry)}", result)
    result.update(fleet.entries(others, "set_mode", args, kwargs, within_s))
    return {name: result[name] for name in names}


def _against(
    fleet: Direct, names: Sequence[str], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Dict[str, Any]:
    """Who would refuse it, with the refusal; players of the reference cannot be asked."""

    def would(player: Player) -> Any:
        if "would" not in player.bank.methods:
            return None
        return player.bank.call_within(READ_S, "would", ["set_mode", list(args), dict(kwargs)])

    answers = fleet.gather(names, would)
    # Who cannot be reached is told by the call itself.
    said = {n: a.entry(n, READ_S) for n, a in answers.items() if a.error is None or isinstance(a.error, RemoteError)}
    return {name: entry for name, entry in said.items() if refused(entry)}


def _silence(fleet: Direct, others: Sequence[str]) -> None:
    def silence(player: Player) -> Any:
        return player.roach.call_within(SILENCE_S, "progdev", [""]) if "progdev" in player.roach.methods else None

    for name, answer in fleet.gather(others, silence).items():
        entry = answer.entry(name, SILENCE_S)
        if refused(entry):
            why = complaint(entry)
            fleet.warn(f"the board of {name} could not be silenced, its addresses may clash: {why}")
