#!/usr/bin/env python3
"""The reference's own client on a controller: what it sees, as JSON on standard output.

    sdss_archon_client.py HOST PORT ACF SECONDS [INT_PARAM]

Start (configuration read back), upload with APPLYALL and power, expose, readout, fetch, the same in a
window, a bias written and applied, flush, abort, power off. Every step that fails ends the program with the
client's own words, but for the apply: its APPLYMOD counts slots as no controller does.
"""

import asyncio
import hashlib
import json
import sys
import warnings

import archon
from archon.controller.controller import ArchonController
from archon.exceptions import ArchonControllerError

WINDOW = {"lines": 20, "pixels": 15}


def names(controller):
    return [bit.name for bit in type(controller.status) if bit in controller.status]


def image(data, number):
    little = data.astype(data.dtype.newbyteorder("<")).tobytes()
    return {
        "shape": list(data.shape),
        "dtype": str(data.dtype),
        "buffer": int(number),
        "sha256": hashlib.sha256(little).hexdigest(),
    }


async def take(controller, seconds, seen, prefix=""):
    task = await controller.expose(seconds, readout=False)
    seen[prefix + "exposing"] = names(controller)
    await task
    seen[prefix + "exposed"] = names(controller)
    await controller.readout()
    seen[prefix + "image"] = image(*await controller.fetch(return_buffer=True))
    seen[prefix + "fetched"] = names(controller)


async def main(host, port, acf, seconds, int_param="IntCS"):
    warnings.simplefilter("ignore")
    archon.config["archon"]["int_param"] = int_param
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
    await take(controller, float(seconds), seen)
    seen["frame"] = await controller.get_frame()

    await controller.set_window(**WINDOW)
    await take(controller, 0.1, seen, "window_")
    await controller.reset_window()

    try:
        await controller.write_line("LVLC_V1", 1.25, mod="MOD4")
    except ArchonControllerError as error:
        seen["apply"] = str(error)
    command = await controller.send_command("FETCHLOG")
    seen["log"] = str(command.replies[0].reply).strip()
    await controller.send_and_wait("APPLYMOD03")
    seen["volts"] = (await controller.get_device_status())["mod4/lvlc_v1"]
    await controller.reset()

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
    if len(sys.argv) not in (5, 6):
        sys.exit(__doc__)
    asyncio.run(main(*sys.argv[1:]))
