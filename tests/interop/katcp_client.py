"""The synchronous Python client against `appliance sim roach`: list, program, read, write, upload.

Usage: katcp_client.py PORT
"""

import gzip
import socket
import struct
import sys
import threading
import time

from katcp import BlockingClient, Message

TIMEOUT = 10


def request(client, name, *args):
    reply, informs = client.blocking_request(Message.request(name, *args), timeout=TIMEOUT)
    return reply, informs


def ok(client, name, *args):
    reply, informs = request(client, name, *args)
    assert reply.reply_ok(), str(reply)
    return reply.arguments[1:], informs


def small_bof(*registers):
    """A big-endian image: header, one region, registers (name, address, length), names, bitstream."""
    names = b"".join(name.encode() + b"\0" for name, _, _ in registers)
    strings = 52 + 28 + 12 * len(registers)
    header = b"\x19BOF\0\2".ljust(20, b"\0") + struct.pack(">H", 3).ljust(12, b"\0")
    header += struct.pack(">I", 52).ljust(20, b"\0")
    region = struct.pack(">IHHIIIII", 0, 0, 0, strings + len(names), 4, len(registers), strings, 0)
    entries, at = b"", 0
    for name, address, length in registers:
        entries += struct.pack(">HHII", at, 3, address, length)
        at += len(name) + 1
    return header + region + entries + names + b"BITS"


def send(port, data):
    """Delivers a file as the usual uploaders do: the server may need a moment to listen."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as stream:
                stream.sendall(data)
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "nobody listens for the upload"
            time.sleep(0.01)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_ready(client):
    deadline = time.monotonic() + TIMEOUT
    while not request(client, "fpgastatus")[0].reply_ok():
        assert time.monotonic() < deadline, "the upload does not program"
        time.sleep(0.01)


def upload(client):
    image = small_bof(("sys_board_id", 0, 4), ("acc_len", 0x100, 4))
    for data in (image, gzip.compress(image)):
        # The reply comes at once, the design when the file is there.
        port = free_port()
        ok(client, "upload", str(port))
        assert not request(client, "fpgastatus")[0].reply_ok()
        send(port, data)
        wait_until_ready(client)
        names = [bytes(i.arguments[0]) for i in ok(client, "listdev")[1]]
        assert names == [b"acc_len", b"sys_board_id"], names
        ok(client, "wordwrite", "acc_len", "0", "0x300")
        assert bytes(ok(client, "read", "acc_len", "0", "4")[0][0]) == b"\0\0\3\0"
    # This reply comes when the file is there.
    port = free_port()
    sender = threading.Thread(target=send, args=(port, image))
    sender.start()
    ok(client, "uploadbof", str(port), "small.bof")
    sender.join()
    ok(client, "progdev", "small.bof")
    assert len(ok(client, "listdev")[1]) == 2
    ok(client, "delbof", "small.bof")
    # Any port: the server says which.
    informs = ok(client, "upload", "0")[1]
    send(int(informs[0].arguments[0]), image)
    wait_until_ready(client)


def sensors(client):
    names = [bytes(i.arguments[0]) for i in ok(client, "sensor-list")[1]]
    assert b"raw.temp.fpga" in names, names
    values = ok(client, "sensor-value", "raw.temp.fpga")[1]
    assert 0 < float(values[0].arguments[4]) < 85, values


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
    upload(client)
    sensors(client)
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
