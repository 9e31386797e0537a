"""The register flush of a mode change with the Python client, pipelined: all registers read, then
all written, then all read back, without waiting in between. A partner of the benchmarks.

Usage: katcp_flush.py PORT IMAGE REGISTERS      prints the seconds of the fastest of five
"""

import struct
import sys
import threading
import time

from katcp import CallbackClient, Message

TIMEOUT = 20
RUNS = 5


def pipelined(client, requests):
    """Sends all, waits for the last reply; the replies in the order of the requests."""
    replies = [None] * len(requests)
    left = [len(requests)]
    done = threading.Event()

    def arrived(reply, at):
        assert reply.reply_ok(), str(reply)
        replies[at] = reply
        left[0] -= 1
        if left[0] == 0:
            done.set()

    for at, request in enumerate(requests):
        client.callback_request(request, reply_cb=arrived, user_data=(at,))
    assert done.wait(TIMEOUT), "no reply in time"
    return replies


def flush(client, names, run):
    wanted = [struct.pack(">I", run << 16 | n) for n in range(len(names))]
    reads = [Message.request("read", name, "0", "4") for name in names]
    now = [bytes(r.arguments[1]) for r in pipelined(client, reads)]
    differ = [n for n in range(len(names)) if now[n] != wanted[n]]
    pipelined(client, [Message.request("write", names[n], "0", wanted[n]) for n in differ])
    back = pipelined(client, [Message.request("read", names[n], "0", "4") for n in differ])
    assert [bytes(r.arguments[1]) for r in back] == [wanted[n] for n in differ]
    return len(differ)


def main():
    port, image, count = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    names = ["register_%04d" % n for n in range(count)]
    client = CallbackClient("127.0.0.1", port)
    client.start(timeout=TIMEOUT)
    try:
        assert client.wait_protocol(TIMEOUT), "no protocol"
        pipelined(client, [Message.request("progdev", image)])
        best = float("inf")
        for run in range(1, RUNS + 1):
            began = time.perf_counter()
            assert flush(client, names, run) == count
            best = min(best, time.perf_counter() - began)
    finally:
        client.stop()
        client.join(timeout=TIMEOUT)
    print(best)


main()
