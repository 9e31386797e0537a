"""Commands players, the dealer proxy and the CCD host of `appliance` from Python."""

from .archon import ArchonCommand, ArchonController, ArchonReply, CommandStatus
from .control import AsyncControl, Control
from .controller_status import ControllerStatus
from .dealer import Dealer
from .errors import ConnectionLost, FanOutError, NoReply, NotConnected, RemoteError, RpcError
from .fleet import Policy
from .player import Interface, Player, SWbits

__all__ = [
    "ArchonCommand",
    "ArchonController",
    "ArchonReply",
    "AsyncControl",
    "CommandStatus",
    "ConnectionLost",
    "Control",
    "ControllerStatus",
    "Dealer",
    "FanOutError",
    "Interface",
    "NoReply",
    "NotConnected",
    "Player",
    "Policy",
    "RemoteError",
    "RpcError",
    "SWbits",
]
__version__ = "0.1.0"
