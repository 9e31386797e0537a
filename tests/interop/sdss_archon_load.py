#!/usr/bin/env python3
"""What the reference's client library achieves on one controller, as JSON on standard output.

    sdss_archon_load.py HOST PORT ACF SECONDS DIRECTORY...

Uploads the ACF (without and with power), takes one exposure, then fetches it again and again: into memory,
and into a FITS file with checksums in each directory, where reference.fits stays. Times are medians, as
[seconds, CPU seconds]; CPU is this process' own, user and system. Then STATUS for so many seconds.
"""

import asyncio
import json
import os
import statistics
import sys
import time

from archon.controller.controller import ArchonController
from astropy.io import fits

ROUNDS = 5
UPLOADS = 3


def cpu():
    used = os.times()
    return used.user + used.system


def peak_mb():
    """Most memory this process has had at once."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))


async def timed(action, rounds=ROUNDS):
    """Median seconds and CPU seconds of one round."""
    seconds, busy = [], []
    for _ in range(rounds):
        wall, own = time.perf_counter(), cpu()
        await action()
        seconds.append(time.perf_counter() - wall)
        busy.append(cpu() - own)
    return [statistics.median(seconds), statistics.mean(busy)]


async def main(host, port, acf, span, directories):
    controller = ArchonController("bench", host, int(port))
    await controller.start(reset=False, read_acf=False)
    result = {}

    async def upload(poweron):
        await controller.write_config(acf, applyall=True, poweron=poweron)

    result["upload_s"] = (await timed(lambda: upload(False), UPLOADS))[0]
    result["upload_power_s"] = (await timed(lambda: upload(True), UPLOADS))[0]

    await controller.reset()
    await (await controller.expose(0.1, readout=False))
    await controller.readout()

    data = None

    async def fetch():
        nonlocal data
        data = await controller.fetch()

    async def fetch_to_file(path):
        await fetch()
        fits.PrimaryHDU(data).writeto(path, overwrite=True, checksum=True)

    result["fetch"] = await timed(fetch)
    paths = [os.path.join(directory, "reference.fits") for directory in directories]
    result["files"] = [await timed(lambda: fetch_to_file(path)) for path in paths]
    result["bytes"] = data.nbytes
    result["peak_mb"] = peak_mb()

    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < span:
        await controller.send_and_wait("STATUS")
        count += 1
    result["status_per_s"] = count / (time.perf_counter() - began)
    print(json.dumps(result), flush=True)
    await controller.stop()


if __name__ == "__main__":
    if len(sys.argv) < 6:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:4], float(sys.argv[4]), sys.argv[5:]))
