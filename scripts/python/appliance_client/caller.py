"""Who calls, and under which lease: what goes with every request, beside the call."""

import getpass
import math
import os
import socket
from typing import Any, Dict, Optional

#: Characters of a name that others see.
WHO_MAX = 64
#: A deadline has 32 bits.
DEADLINE_MS_MAX = 2**32 - 1


def myself() -> str:
    """``ann@control:4711``: user, host and process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a user without a name
        user = f"uid{os.getuid()}"
    return f"{user}@{socket.gethostname()}:{os.getpid()}"


def checked_name(who: str) -> str:
    """The name; ValueError for one that cannot be sent."""
    if not isinstance(who, str) or len(who) > WHO_MAX or not who.isprintable():
        raise ValueError(f"who is {who!r}; it must be at most {WHO_MAX} printable characters")
    return who


class Caller:
    """A caller of one node. Links that share it call under the same lease, over however many connections."""

    def __init__(self, who: Optional[str] = None) -> None:
        self._who = None if who is None else checked_name(who)
        #: The token of the lease further calls are made under.
        self.lease: Optional[str] = None

    @property
    def who(self) -> str:
        """The name others see; another one after a fork, unless it was given."""
        return myself()[:WHO_MAX] if self._who is None else self._who

    def beside(self, timeout_s: float) -> Dict[str, Any]:
        """The keys of a request to which an answer is waited for so long: a call that cannot begin until then is never
        carried out. Players of the old kind pass over them."""
        keys: Dict[str, Any] = {"who": self.who, "deadline_ms": deadline_ms(timeout_s)}
        if self.lease is not None:
            keys["lease"] = self.lease
        return keys


def deadline_ms(timeout_s: float) -> int:
    """A time limit as it travels; 0 would mean none."""
    return min(max(1, math.ceil(timeout_s * 1000)), DEADLINE_MS_MAX)
