#!/usr/bin/env python3
"""What the reference's client library achieves on one controller, as JSON on standard output.

    sdss_archon_load.py HOST PORT ACF DIRECTORY [SECONDS]

Uploads the ACF, takes one exposure, then fetches it again and again: into memory, and into a FITS
file with checksums. CPU is this process' own, user and system.
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


def cpu():
    used = os.times()
    return used.user + used.system


async def timed(action, rounds=ROUNDS):
    """Median seconds and CPU seconds of one round."""
    seconds, busy = [], []
    for _ in range(rounds):
        wall, own = time.perf_counter(), cpu()
        await action()
        seconds.append(time.perf_counter() - wall)
        busy.append(cpu() - own)
    return statistics.median(seconds), statistics.median(busy)


async def main(host, port, acf, directory, span):
    controller = ArchonController("bench", host, int(port))
    await controller.start(reset=False, read_acf=False)
    result = {}

    began = time.perf_counter()
    await controller.write_config(acf, applyall=True, poweron=True)
    result["upload_s"] = time.perf_counter() - began

    await controller.reset()
    await (await controller.expose(0.1, readout=False))
    await controller.readout()

    data = None

    async def fetch():
        nonlocal data
        data = await controller.fetch()

    path = os.path.join(directory, "reference.fits")

    async def fetch_to_file():
        await fetch()
        fits.PrimaryHDU(data).writeto(path, overwrite=True, checksum=True)

    result["fetch_s"], result["fetch_cpu_s"] = await timed(fetch)
    result["file_s"], result["file_cpu_s"] = await timed(fetch_to_file)
    result["bytes"] = data.nbytes

    count, began = 0, time.perf_counter()
    while time.perf_counter() - began < span:
        await controller.send_and_wait("STATUS")
        count += 1
    result["status_per_s"] = count / (time.perf_counter() - began)
    print(json.dumps(result), flush=True)
    await controller.stop()


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:5], float(sys.argv[5]) if len(sys.argv) > 5 else 2.0))
