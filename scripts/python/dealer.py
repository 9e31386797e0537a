"""The Dealer, under the name that observing scripts import.

    import dealer
    d = dealer.Dealer()

Everything is in the package ``appliance_client``; this module only has its names.
"""

from appliance_client.control import Control
from appliance_client.dealer import Dealer
from appliance_client.errors import (
    ConnectionLost,
    FanOutError,
    NoReply,
    NotConnected,
    RemoteError,
    RpcError,
)
from appliance_client.fleet import Policy
from appliance_client.player import Player, SWbits

__all__ = [
    "ConnectionLost",
    "Control",
    "Dealer",
    "FanOutError",
    "NoReply",
    "NotConnected",
    "Player",
    "Policy",
    "RemoteError",
    "RpcError",
    "SWbits",
]
