"""The status word of a controller."""

from enum import IntFlag
from typing import List


class ControllerStatus(IntFlag):
    """What a controller does, and its power."""

    UNKNOWN = 0x1
    IDLE = 0x2
    EXPOSING = 0x4
    READOUT_PENDING = 0x8
    READING = 0x10
    FETCHING = 0x20
    FLUSHING = 0x40
    ERROR = 0x80
    POWERON = 0x100
    POWEROFF = 0x200
    POWERBAD = 0x400

    @property
    def names(self) -> List[str]:
        """The bits that are set, lowest first."""
        return [bit.name or "" for bit in ControllerStatus if self & bit]

    @property
    def active(self) -> bool:
        """It exposes, reads, fetches or flushes."""
        return bool(self & ACTIVE)

    @property
    def errored(self) -> bool:
        """An error, or bad power."""
        return bool(self & ERRORED)


ACTIVE = (
    ControllerStatus.EXPOSING | ControllerStatus.READING | ControllerStatus.FETCHING | ControllerStatus.FLUSHING
)
ERRORED = ControllerStatus.ERROR | ControllerStatus.POWERBAD
