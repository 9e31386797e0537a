"""Values as they travel: JSON in UTF-8, times as seven numbers, bytes as characters U+0000 to U+00FF."""

import json
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Sequence

from .errors import RpcError, remote_error

#: Methods whose reply is bytes, written as text.
BYTE_REPLIES = frozenset({"read", "bulkread", "read_dram"})


def seven(when: datetime) -> List[int]:
    """An aware time as ``[year, month, day, hour, minute, second, microsecond]`` of UTC."""
    if when.tzinfo is None or when.utcoffset() is None:
        raise ValueError(f"{when} has no time zone: use datetime.now(timezone.utc) and the like")
    utc = when.astimezone(timezone.utc)
    return [utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second, utc.microsecond]


def utc(numbers: Sequence[int]) -> datetime:
    """The aware time of the seven numbers of the wire."""
    year, month, day, *rest = (int(n) for n in numbers)
    hour, minute, second, micro = (rest + [0, 0, 0, 0])[:4]
    return datetime(year, month, day, hour, minute, second, micro, tzinfo=timezone.utc)


def _other(value: Any) -> Any:
    if isinstance(value, datetime):
        return seven(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).decode("latin-1")
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if hasattr(value, "tolist"):  # numbers and arrays of numpy
        return value.tolist()
    raise TypeError(f"a {type(value).__name__} cannot be sent: {value!r}")


def encode(
    interface: str,
    method: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    beside: Optional[Mapping[str, Any]] = None,
) -> bytes:
    """A request, with what is said ``beside`` the call. TypeError or ValueError for what JSON cannot say (NaN among it)."""
    request = {"name": interface, "proc": method, "args": list(args), "kwargs": dict(kwargs), **(beside or {})}
    return json.dumps(request, default=_other, allow_nan=False).encode()


def decode(body: bytes, what: str) -> Any:
    """The result in a reply to ``what``; raises what the server raised."""
    try:
        reply = json.loads(body.decode())
    except ValueError as error:
        raise RpcError(f"{what}: the reply is not JSON ({error})") from error
    if isinstance(reply, dict) and "EXCEPTION" in reply:
        raise remote_error(reply["EXCEPTION"])
    return reply


def methods(listed: Any, interface: str) -> Dict[str, str]:
    """Name to documentation, of a reply to ``list_methods``."""
    if isinstance(listed, list) and listed and listed[0] == "Interface error":
        raise RpcError(f"there is no interface {interface}")
    if not isinstance(listed, list):
        raise RpcError(f"{interface}.list_methods gave {listed!r}, not a list")
    pairs = (pair for pair in listed if isinstance(pair, (list, tuple)) and len(pair) == 2)
    return {str(name): str(doc or "") for name, doc in pairs}
