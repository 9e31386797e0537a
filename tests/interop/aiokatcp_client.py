"""The asynchronous Python client against `appliance sim roach --protocol 5`: ids in use.

Usage: aiokatcp_client.py PORT
"""

import asyncio
import struct
import sys

import aiokatcp

TIMEOUT = 10


async def drive(client):
    _, informs = await client.request("listbof")
    assert [i.arguments[0] for i in informs] == [b"h1k_test.bof"], informs
    await client.request("progdev", "h1k_test.bof")
    _, informs = await client.request("listdev", "size")
    sizes = {bytes(i.arguments[0]): bytes(i.arguments[1]) for i in informs}
    assert sizes[b"gbe0"] == b"16384:0", sizes
    # Many at once: the replies must find their requests.
    names = [f"s{n}_mixer_cnt" for n in range(8)]
    await asyncio.gather(*(client.request("write", r, 0, struct.pack(">I", n)) for n, r in enumerate(names)))
    replies = await asyncio.gather(*(client.request("read", r, 0, 4) for r in names))
    assert [reply[0] for reply, _ in replies] == [struct.pack(">I", n) for n in range(8)], replies
    try:
        await client.request("read", "nosuch", 0, 4)
    except aiokatcp.FailReply as error:
        assert str(error) == "no such register", error
    else:
        raise AssertionError("a register that does not exist was read")
    try:
        await client.request("nosuch")
    except aiokatcp.InvalidReply:
        pass
    else:
        raise AssertionError("a request that does not exist was answered")


async def main():
    client = await asyncio.wait_for(aiokatcp.Client.connect("127.0.0.1", int(sys.argv[1])), TIMEOUT)
    try:
        await asyncio.wait_for(drive(client), TIMEOUT)
    finally:
        client.close()
        await client.wait_closed()
    print("ok")


asyncio.run(main())
