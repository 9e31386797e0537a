"""The synchronous Python client against `appliance sim roach` (v4): list, program, read, write.

Usage: katcp_client.py PORT
"""

import struct
import sys

from katcp import BlockingClient, Message

TIMEOUT = 10


def request(client, name, *args):
    reply, informs = client.blocking_request(Message.request(name, *args), timeout=TIMEOUT)
    return reply, informs


def ok(client, name, *args):
    reply, informs = request(client, name, *args)
    assert reply.reply_ok(), str(reply)
    return reply.arguments[1:], informs


def drive(client):
    assert ok(client, "watchdog")[0] == []
    assert not request(client, "listdev")[0].reply_ok()
    images = [bytes(i.arguments[0]) for i in ok(client, "listbof")[1]]
    assert images == [b"h1k_test.bof"], images
    ok(client, "progdev", "h1k_test.bof")
    names = [bytes(i.arguments[0]) for i in ok(client, "listdev")[1]]
    assert names == sorted(names) and b"acc_len" in names, names
    assert len(names) > 150, len(names)
    for value in (0, 768, 0x0A205C, 0xFFFFFFFF, 0x001B0D09):
        data = struct.pack(">I", value)
        ok(client, "write", "acc_len", "0", data)
        assert bytes(ok(client, "read", "acc_len", "0", "4")[0][0]) == data
        assert int(ok(client, "wordread", "acc_len", "0")[0][0], 16) == value
    block = bytes(range(256)) * 64
    ok(client, "write", "ssg_lut_bram", "0", block)
    assert bytes(ok(client, "read", "ssg_lut_bram", "0", str(len(block)))[0][0]) == block
    ok(client, "tap-start", "tap0", "gbe0", "10.17.0.71", "60000", "02:02:0A:11:00:47")
    core = bytes(ok(client, "read", "gbe0", "0", "64")[0][0])
    assert core[:8] == bytes.fromhex("000002020a110047"), core
    assert not request(client, "read", "nosuch", "0", "4")[0].reply_ok()
    assert request(client, "nosuch")[0].arguments[0] == b"invalid"
    ok(client, "progdev")


def main():
    client = BlockingClient("127.0.0.1", int(sys.argv[1]))
    client.start(timeout=TIMEOUT)
    try:
        assert client.wait_protocol(TIMEOUT), "no protocol"
        drive(client)
    finally:
        client.stop()
        client.join(timeout=TIMEOUT)
    print("ok")


main()
