"""A board played by the asynchronous Python server: KATCP v5 with ids, registers by name.

Every register exists and is as long as it was last written (at least 4 bytes, cores and blocks 16 KiB).
Prints `ready PORT`, ends when its standard input does.

Usage: aiokatcp_server.py [IMAGE.bof ...]
"""

import asyncio
import sys

import aiokatcp

LIMIT = 1 << 20


class FakeRoach(aiokatcp.DeviceServer):
    VERSION = "fake-roach-1.0"
    BUILD_STATE = "fake-1.0.0"

    def __init__(self, images):
        super().__init__("127.0.0.1", 0)
        self.images = images
        self.image = None
        self.registers = {}
        self.taps = {}
        self.valon = {}
        self.i2c = {}

    def register(self, name):
        if self.image is None:
            raise aiokatcp.FailReply("fpga not programmed")
        long = name.startswith(("gbe", "tG", "part2_gbe")) or "ram" in name
        return self.registers.setdefault(name, bytearray(16384 if long else 4))

    def access(self, name, offset, count):
        register = self.register(name)
        if offset < 0 or count < 1 or offset + count > min(len(register), LIMIT):
            raise aiokatcp.FailReply("range")
        return register

    async def request_listbof(self, ctx) -> None:
        """List images."""
        for image in self.images:
            ctx.inform(image)

    async def request_listdev(self, ctx) -> None:
        """List registers."""
        if self.image is None:
            raise aiokatcp.FailReply("fpga not programmed")
        for name in sorted(self.registers):
            ctx.inform(name)

    async def request_progdev(self, ctx, image: str = "") -> None:
        """Program an image, or none."""
        self.registers.clear()
        self.image = None
        if image and self.images and image not in self.images:
            raise aiokatcp.FailReply("no such image")
        self.image = image or None

    async def request_status(self, ctx) -> None:
        """Does a design run?"""
        if self.image is None:
            raise aiokatcp.FailReply("fpga not programmed")

    async def request_fpgastatus(self, ctx) -> None:
        """Does a design run?"""
        await self.request_status(ctx)

    async def request_read(self, ctx, name: str, offset: int = 0, count: int = 1) -> bytes:
        """Read bytes."""
        return bytes(self.access(name, offset, count)[offset : offset + count])

    async def request_write(self, ctx, name: str, offset: int, data: bytes) -> None:
        """Write bytes."""
        self.access(name, offset, len(data))[offset : offset + len(data)] = data

    async def request_wordread(self, ctx, name: str, offset: str = "0", count: str = "1") -> tuple:
        """Read words."""
        at, words = 4 * int(offset, 0), int(count, 0)
        data = self.access(name, at, 4 * words)[at : at + 4 * words]
        return tuple(hex(int.from_bytes(data[n : n + 4], "big")) for n in range(0, 4 * words, 4))

    async def request_wordwrite(self, ctx, name: str, offset: str, *values: str) -> None:
        """Write words."""
        data = b"".join((int(v, 0) & 0xFFFFFFFF).to_bytes(4, "big") for v in values)
        at = 4 * int(offset, 0)
        self.access(name, at, len(data))[at : at + len(data)] = data

    async def request_tap_start(self, ctx, tap: str, device: str, ip: str, port: int = 7148, mac: str = "") -> None:
        """Start a 10 GbE core."""
        core = self.access(device, 0, 16384)
        core[0:8] = bytes(2) + bytes.fromhex(mac.replace(":", "")).rjust(6, b"\0")
        core[16:20] = bytes(int(octet) for octet in ip.split("."))
        core[32:36] = (0x00FF0000 + port).to_bytes(4, "big")
        core[0x3000:0x3800] = b"\0\0\xff\xff\xff\xff\xff\xff" * 256
        self.taps[tap] = device

    async def request_tap_stop(self, ctx, tap: str) -> None:
        """Stop a 10 GbE core."""
        if self.taps.pop(tap, None) is None:
            raise aiokatcp.FailReply("no such tap")

    async def request_i2c_write(self, ctx, address: int, count: int, data: bytes) -> None:
        """Write to the bus."""
        if count != len(data):
            raise aiokatcp.FailReply("count")
        self.i2c[address] = data

    async def request_i2c_read(self, ctx, address: int, count: int) -> tuple:
        """Read from the bus."""
        return (count, self.i2c.get(address, b"").ljust(count, b"\0")[:count])


def valon_request(name, per_synth, echo, default):
    """A pair of requests that keep and give back a setting."""

    async def get(self, ctx, *args: str) -> tuple:
        """Get a setting."""
        key = (name, args[0] if per_synth else "")
        values = self.valon.get(key, default)
        return ((key[1],) if echo else ()) + tuple(values)

    async def put(self, ctx, *args: str) -> None:
        """Set a setting."""
        key = (name, args[0] if per_synth else "")
        self.valon[key] = args[1 if per_synth else 0 :][: len(default)]

    return get, put


VALON = {
    "frequency": (True, True, ("1000.0",)),
    "label": (True, False, ("synthesizer",)),
    "options": (True, True, ("0", "0", "0", "1")),
    "phase-lock": (True, False, ("1",)),
    "ref-select": (False, False, ("0",)),
    "reference": (False, False, ("10000000",)),
    "rf-level": (True, True, ("5",)),
    "vco-range": (True, True, ("1200", "2200")),
}


def fake_roach():
    """The class with the synthesizer's requests; the server collects requests when the class is made."""

    async def nothing(self, ctx, *args: str) -> None:
        """Do nothing."""

    members = {"request_valon_flash": nothing, "request_valon_new_port": nothing}
    for name, shape in VALON.items():
        get, put = valon_request(name, *shape)
        members["request_valon_get_" + name.replace("-", "_")] = get
        members["request_valon_set_" + name.replace("-", "_")] = put
    return type("FakeRoachWithValon", (FakeRoach,), members)


async def main():
    server = fake_roach()(sys.argv[1:])
    await server.start()
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop()


asyncio.run(main())
