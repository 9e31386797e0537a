"""What can go wrong with a call."""

from typing import Any, Dict, List, Sequence, Type


class RpcError(Exception):
    """A call that gave no result."""


class NotConnected(RpcError):
    """There is no connection: nothing was sent, so nothing was done."""


class ConnectionLost(RpcError):
    """The connection ended before the reply came: the server may have done it or not."""


class NoReply(RpcError, TimeoutError):
    """No reply in time: the server may still be at it."""


class RemoteError(RpcError):
    """The server answered with an error.

    ``kind`` is its class (``KeyError``), ``message`` its text, ``trace`` a list of lines. The errors that have a
    class of Python's own are of that class too: ``except KeyError`` catches a remote KeyError.
    ``args[0]`` is the triple as it came over the wire.
    """

    kind: str
    message: str
    trace: List[str]

    def __init__(self, kind: str, message: str, trace: Sequence[str] = ()) -> None:
        super().__init__([kind, message, list(trace)])
        self.kind, self.message, self.trace = kind, message, list(trace)

    def __reduce__(self) -> Any:
        return (remote_error, ([self.kind, self.message, self.trace],))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class RemoteKeyError(RemoteError, KeyError):
    """No such interface, method or key."""


class RemoteTypeError(RemoteError, TypeError):
    """Arguments that do not fit the method."""


class RemoteValueError(RemoteError, ValueError):
    """An argument out of its range."""


class RemoteAttributeError(RemoteError, AttributeError):
    """What players of the old kind raise for much that is not there."""


class RemoteRuntimeError(RemoteError, RuntimeError):
    """The hardware did not do it."""


CLASSES: Dict[str, Type[RemoteError]] = {
    "KeyError": RemoteKeyError,
    "TypeError": RemoteTypeError,
    "ValueError": RemoteValueError,
    "AttributeError": RemoteAttributeError,
    "RuntimeError": RemoteRuntimeError,
}


def remote_error(triple: Any) -> RemoteError:
    """The exception of an ``EXCEPTION`` triple ``[class, message, [line, ..]]``; also of an ill-formed one."""
    parts = list(triple) if isinstance(triple, (list, tuple)) else [triple]
    kind = str(parts[0]) if parts else "Exception"
    message = str(parts[1]) if len(parts) > 1 else ""
    trace = parts[2] if len(parts) > 2 and isinstance(parts[2], list) else []
    return CLASSES.get(kind, RemoteError)(kind, message, [str(line) for line in trace])


class FanOutError(RpcError):
    """A call to several players that failed by its policy; ``result`` has the entry of each."""

    def __init__(self, message: str, result: Dict[str, Any]) -> None:
        super().__init__(message, result)
        self.result = result

    def __str__(self) -> str:
        return str(self.args[0])
