#!/usr/bin/env python3
"""The reference's own client on a controller: what it sees, as JSON on standard output.

    sdss_archon_client.py HOST PORT ACF SECONDS

Start (configuration read back), upload with APPLYALL and power, window, expose, readout, fetch, flush,
abort, power off. Every step that fails ends the program with the client's own words.
"""

import asyncio
import hashlib
import json
import sys
import warnings

from archon.controller.controller import ArchonController


def names(controller):
    return [bit.name for bit in type(controller.status) if bit in controller.status]


async def main(host, port, acf, seconds):
    warnings.simplefilter("ignore")
    seen = {}
    controller = ArchonController("sp1", host, int(port))
    await controller.start(reset=False, read_acf=True)
    seen["lines_before"] = len(controller.acf_config["CONFIG"]) if controller.acf_config else 0

    await controller.write_config(acf, applyall=True, poweron=True)
    _, lines = await controller.read_config()
    seen["lines_after"] = len(lines)
    seen["powered"] = names(controller)
    seen["system"] = await controller.get_system()

    await controller.reset()
    task = await controller.expose(float(seconds), readout=False)
    seen["exposing"] = names(controller)
    await task
    seen["exposed"] = names(controller)
    await controller.readout()
    data, number = await controller.fetch(return_buffer=True)
    seen["fetched"] = names(controller)
    seen["shape"] = list(data.shape)
    seen["dtype"] = str(data.dtype)
    seen["buffer"] = int(number)
    seen["sha256"] = hashlib.sha256(data.astype(data.dtype.newbyteorder("<")).tobytes()).hexdigest()
    seen["frame"] = await controller.get_frame()

    await controller.flush(1)
    task = await controller.expose(5.0, readout=False)
    await controller.abort(readout=False)
    seen["aborted"] = names(controller)
    task.cancel()
    await controller.reset()
    status = await controller.get_device_status()
    seen["power"] = status["power"]
    await controller.power(False)
    seen["powered_off"] = names(controller)
    print(json.dumps(seen), flush=True)
    await controller.stop()


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
