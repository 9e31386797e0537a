"""One player: its interfaces ``bank``, ``bank.roach`` and ``bank.valon``, with the methods it says it has."""

import inspect
import keyword
import threading
from types import MappingProxyType
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

from .caller import Caller, checked_name
from .control import Control, Holding
from .errors import RpcError
from .rpc import Link
from .wire import BYTE_REPLIES

#: How long a call may take, s, unless told otherwise.
BANK_TIMEOUT_S = 180.0
TIMEOUT_S = 60.0
#: How long learning the methods may take, s.
LEARN_S = 5.0

#: Words of a row of ``set_gbt_ss``.
SWbits: Mapping[str, int] = MappingProxyType({"SIG": 0, "REF": 1, "CALON": 1, "CALOFF": 0})


class Interface:
    """The methods of one interface as attributes: ``valon.get_frequency(0)``.

    They are learnt from the server when first needed, with their documentation: ``dir()`` lists them, ``help()`` tells
    what the server says. While the server has not been reached any public name is taken for a method, and calling it
    raises :class:`NotConnected`.

    ``timeout_s``: how long a call may take.
    """

    def __init__(self, link: Link, name: str, timeout_s: float = TIMEOUT_S) -> None:
        self._link = link
        self._name = name
        self._methods: Optional[Dict[str, str]] = None
        self._signatures: Dict[str, inspect.Signature] = {}
        self._lock = threading.Lock()
        self.timeout_s = timeout_s

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Calls a method by its name, known or not."""
        return self.call_within(self.timeout_s, method, args, kwargs)

    def call_within(
        self, timeout_s: float, method: str, args: Sequence[Any] = (), kwargs: Optional[Mapping[str, Any]] = None
    ) -> Any:
        """The same with a time limit of its own, s."""
        result = self._link.call(self._name, method, args, kwargs, timeout_s)
        if method in BYTE_REPLIES and self._name.endswith(".roach") and isinstance(result, str):
            return result.encode("latin-1")
        return result

    @property
    def methods(self) -> Dict[str, str]:
        """Name to documentation; empty while the server has not been reached."""
        return dict(self._learnt() or {})

    def learn(self) -> Dict[str, str]:
        """Asks the server for its methods anew; raises when it cannot be asked."""
        found = self._link.methods(self._name, LEARN_S)
        with self._lock:
            self._methods, self._signatures = found, self._described()
        return dict(found)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        # Only called for what is not an attribute.
        if name.startswith("_"):
            raise AttributeError(name)
        known = self._learnt()
        if known is not None and name not in known:
            raise AttributeError(f"{self._link.url}: {self._name} has no method '{name}'; it has: {_listed(known)}")
        return self._function(name, (known or {}).get(name, ""))

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self.methods})

    def __repr__(self) -> str:
        return f"<{self._name} at {self._link.url}>"

    def _learnt(self) -> Optional[Dict[str, str]]:
        if self._methods is None:
            try:
                self.learn()
            except RpcError:
                return None
        return self._methods

    def _described(self) -> Dict[str, inspect.Signature]:
        try:
            described = self._link.call("rpc", "describe", [self._name], timeout_s=LEARN_S)
        except RpcError:
            return {}  # a player that does not describe itself
        entries = described if isinstance(described, list) else []
        return {str(m["name"]): s for m in entries if isinstance(m, dict) for s in _signatures(m)}

    def _function(self, name: str, doc: str) -> Callable[..., Any]:
        def method(*args: Any, **kwargs: Any) -> Any:
            return self.call(name, *args, **kwargs)

        method.__name__ = name
        method.__qualname__ = f"{self._name}.{name}"
        method.__doc__ = doc or f"{self._name}.{name} of {self._link.url}, which says nothing about it."
        if name in self._signatures:
            setattr(method, "__signature__", self._signatures[name])
        return method


def _listed(known: Mapping[str, str]) -> str:
    return ", ".join(sorted(known)) or "none"


def _signatures(described: Mapping[str, Any]) -> List[inspect.Signature]:
    """The signature of a described method, none if Python cannot write it."""
    parameters = []
    for arg in described.get("args") or []:
        name = str(arg.get("name", ""))
        if not name.isidentifier() or keyword.iskeyword(name):
            return []
        default = inspect.Parameter.empty if arg.get("required") else _Written(str(arg.get("default")))
        parameters.append(inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default))
    if described.get("keywords"):
        parameters.append(inspect.Parameter("keywords", inspect.Parameter.VAR_KEYWORD))
    try:
        return [inspect.Signature(parameters)]
    except ValueError:
        return []


class _Written:
    """A default as the server writes it."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


class Player:
    """One player. Methods of its ``bank`` are attributes of the player too: ``player.get_mode()``."""

    #: What a spectrometer node does: modes, parameters, scans, status.
    bank: Interface
    #: Its FPGA board.
    roach: Interface
    #: Its synthesizer.
    valon: Interface

    def __init__(self, name: str, url: str, prefix: str = "bank", caller: Optional[Caller] = None) -> None:
        self.name = name
        self.url = url
        self.link = Link(url, caller)
        self.bank = Interface(self.link, prefix, BANK_TIMEOUT_S)
        self.roach = Interface(self.link, f"{prefix}.roach")
        self.valon = Interface(self.link, f"{prefix}.valon")

    def control(self, who: Optional[str] = None, seconds: float = 3600.0, purpose: str = "") -> Control:
        """Takes control of it for ``seconds``, with ``with``: see :mod:`appliance_client.control`. Of a player behind a
        proxy: of the proxy, which has one lease for all."""
        node = Holding(self.name, self.url, self.link.caller)
        return Control([node], checked_name(who or node.caller.who), seconds, purpose).acquire()

    def close(self) -> None:
        """Closes its connections."""
        self.link.close()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or name in ("bank", "roach", "valon", "link"):
            raise AttributeError(name)
        method: Callable[..., Any] = getattr(self.bank, name)
        return method

    def __dir__(self) -> Iterable[str]:
        return sorted({*super().__dir__(), *self.bank.methods})

    def __repr__(self) -> str:
        return f"<player {self.name} at {self.url}>"
