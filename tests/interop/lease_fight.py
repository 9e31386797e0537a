"""Two clients want control of one player: exactly one gets it, `stop` works for both.

    lease_fight.py tcp://127.0.0.1:6667

The player has `listen.lease = "binding"`. Both clients ask at the same moment, each on its own thread and socket.
"""

import argparse
import json
import threading

import zmq

TIMEOUT_MS = 20_000


class Client:
    """Plain requests with the keys beside a call; every method of every interface by name."""

    def __init__(self, context, url, who):
        self.who = who
        self.socket = context.socket(zmq.REQ)
        self.socket.linger = 0
        self.socket.rcvtimeo = TIMEOUT_MS
        self.socket.connect(url)

    def ask(self, interface, method, *args, **beside):
        request = {"name": interface, "proc": method, "args": args, "kwargs": {}, "who": self.who, **beside}
        self.socket.send(json.dumps(request).encode())
        return json.loads(self.socket.recv())


def error_of(reply):
    return reply["EXCEPTION"][1] if isinstance(reply, dict) and "EXCEPTION" in reply else None


def fight(clients):
    """Both at once; the replies of `acquire` by name."""
    begin = threading.Barrier(len(clients))
    replies = {}

    def one(client):
        begin.wait()
        replies[client.who] = client.ask("rpc", "acquire", client.who, 600, "the fight")

    threads = [threading.Thread(target=one, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return replies


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    url = parser.parse_args().url
    context = zmq.Context()
    clients = [Client(context, url, "ann"), Client(context, url, "ben")]

    replies = fight(clients)
    winners = [client for client in clients if error_of(replies[client.who]) is None]
    assert len(winners) == 1, replies
    winner = winners[0]
    loser = next(client for client in clients if client is not winner)
    refusal = error_of(replies[loser.who])
    granted = replies[winner.who]
    assert refusal == f"control is with {winner.who} (the fight) until {granted['until']}", refusal
    print(f"{winner.who} has control until {granted['until']}; {loser.who} is told: {refusal}")

    refused = error_of(loser.ask("bank", "set_mode", "MODE1"))
    assert refused and f"control is with {winner.who}" in refused, refused
    assert winner.ask("bank", "set_mode", "MODE1")[0] is True
    assert loser.ask("bank", "get_mode") == "MODE1"
    for client in clients:
        reply = client.ask("bank", "stop")
        assert error_of(reply) is None or "control" not in error_of(reply), reply
    shown = loser.ask("bank", "player_state")["lease"]
    assert shown == {"who": winner.who, "purpose": "the fight", "until": granted["until"]}, shown
    names = sorted(client["who"] for client in loser.ask("rpc", "clients"))
    assert names == ["ann", "ben"], names

    # A request of another socket that carries the token; then the other client's turn.
    helper = Client(context, url, winner.who)
    assert error_of(helper.ask("bank", "increment_scan_number")) is not None
    reply = helper.ask("bank", "increment_scan_number", lease=granted["token"])
    assert error_of(reply) is None, reply
    assert winner.ask("rpc", "release", granted["token"]) is True
    token = loser.ask("rpc", "acquire", loser.who, 600)["token"]
    reply = helper.ask("bank", "increment_scan_number", lease=granted["token"])
    assert f"control is with {loser.who} until" in (error_of(reply) or ""), reply
    assert loser.ask("rpc", "release", token) is True
    assert winner.ask("rpc", "lease") is None
    print("stop worked for both; control went on")


if __name__ == "__main__":
    main()
