"""Commands players, the dealer proxy and the CCD host of `appliance` from Python."""

from .dealer import Dealer
from .errors import ConnectionLost, FanOutError, NoReply, NotConnected, RemoteError, RpcError
from .fleet import Policy
from .player import Interface, Player, SWbits

__all__ = [
    "ConnectionLost",
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
