"""One STA Archon controller behind the CCD host, awaitable.

    sp1 = ArchonController("sp1", "tcp://ccdhost:6669")
    await sp1.start()
    await sp1.power(True)
    exposure = await sp1.expose(2.0)          # it exposes now
    print((await exposure)["filenames"])      # images are on the host's disk

The host (`appliance --role archon`) has the only connection to the controllers, guards them, writes the images and the
record. One exposure runs at a time on a host: ``readout`` and ``abort`` are of the host's exposure, also where other
controllers take part in it.
"""

import asyncio
import contextlib
import os
import pathlib
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, AsyncIterator, Dict, List, Optional, Tuple, Union

from .async_rpc import AsyncLink
from .caller import Caller, checked_name
from .control import AsyncControl
from .controller_status import ControllerStatus
from .errors import ConnectionLost, NoReply, NotConnected, RemoteError

#: How long a call may take, s, unless told otherwise: what the host itself allows its controllers, and a little more.
READ_S = 10.0
WRITE_S = 60.0
CONFIGURE_S = 300.0
#: A readout with its fetch and files, s, beside the delay asked for.
READOUT_S = 300.0
#: Flushing once, s, at most.
FLUSH_S = 60.0
#: How often it is looked whether an exposure has begun, s.
LOOK_S = 0.05
#: An exposure has begun when one of these is set.
BEGUN = ControllerStatus.EXPOSING | ControllerStatus.READING | ControllerStatus.FETCHING


class CommandStatus(Enum):
    """What became of a command."""

    DONE = "done"
    FAILED = "failed"
    TIMEDOUT = "timedout"


@dataclass(frozen=True)
class ArchonReply:
    """One reply of a controller."""

    #: As it came: ``<76POWER=4 ..``, or ``?76``.
    raw: str

    @property
    def type(self) -> str:
        """``<``: done; ``?``: refused."""
        return self.raw[:1]

    @property
    def reply(self) -> str:
        """The text after mark and number."""
        return self.raw[3:].rstrip("\n")

    def __str__(self) -> str:
        return self.reply


@dataclass(frozen=True)
class ArchonCommand:
    """A command and what came of it."""

    command_string: str
    status: CommandStatus
    replies: List[ArchonReply] = field(default_factory=list)
    #: Why there is no reply.
    error: str = ""

    def succeeded(self) -> bool:
        """Did the controller do it?"""
        return self.status is CommandStatus.DONE


class ArchonController:
    """A controller by its name in the host's ``archon.yml``.

    ``url``: JSON address of the host; ``who``: the name others see, ``user@host:process`` unless said otherwise. Every method raises :class:`RemoteError` with the host's words when the host
    refuses, :class:`NotConnected` when nothing was sent, and :class:`NoReply` or :class:`ConnectionLost` when it is
    not known whether it was done.
    """

    def __init__(self, name: str, url: str, who: Optional[str] = None) -> None:
        self.name = name
        self.link = AsyncLink(url, Caller(who))
        self._status = ControllerStatus.UNKNOWN

    # ---- connection ------------------------------------------------------------------------------------------

    async def start(self, reset: bool = False, read_acf: bool = True) -> "ArchonController":
        """Sees that the host has the controller; with ``read_acf`` the host reads its configuration anew.

        Nothing is written to the controller unless ``reset`` asks for it: somebody else may be exposing.
        """
        self.link.open()
        try:
            if read_acf:
                await self.call("attach", timeout_s=CONFIGURE_S)
            if reset:
                await self.reset()
            await self.update_status()
        except BaseException:
            self.link.close()
            raise
        return self

    async def stop(self) -> None:
        """Closes our connections to the host; the controller is left as it is."""
        self.link.close()

    async def __aenter__(self) -> "ArchonController":
        return await self.start(read_acf=False)

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def control(self, who: Optional[str] = None, seconds: float = 3600.0, purpose: str = "") -> AsyncControl:
        """Control of the host, all its controllers: ``async with sp1.control("ann", 3600, purpose="tests"): ..``."""
        caller = self.link.caller
        return AsyncControl(self.link.url, caller, checked_name(who or caller.who), seconds, purpose)

    async def call(self, method: str, *args: Any, timeout_s: float = READ_S, **kwargs: Any) -> Any:
        """Any method of the interface ``archon.<name>`` of the host."""
        reply = await self.link.call(f"archon.{self.name}", method, args, kwargs, timeout_s)
        # Replies of several controllers are by name; there is one here.
        return reply[self.name] if isinstance(reply, dict) and set(reply) == {self.name} else reply

    async def call_host(self, method: str, *args: Any, timeout_s: float = READ_S, **kwargs: Any) -> Any:
        """Any method of the interface ``archon``, of all controllers of the host."""
        return await self.link.call("archon", method, args, kwargs, timeout_s)

    async def send_command(self, command_string: str, timeout_s: float = READ_S) -> ArchonCommand:
        """Sends a command of the controller's own protocol, without number: ``STATUS``, ``FETCHLOG``.

        It passes the host's safety rules. A command that is refused by the controller, or not answered, does not
        raise: see ``status``, ``replies`` and ``error``.
        """
        try:
            told = await self.call("talk", command_string, timeout_s=timeout_s)
        except NoReply as error:
            return ArchonCommand(command_string, CommandStatus.TIMEDOUT, error=str(error))
        except RemoteError as error:
            late = "no reply within" in error.message
            status = CommandStatus.TIMEDOUT if late else CommandStatus.FAILED
            return ArchonCommand(command_string, status, error=error.message)
        replies = [ArchonReply(str(told["response"]))] if told.get("response") else []
        status = CommandStatus.DONE if told.get("ok", True) else CommandStatus.FAILED
        return ArchonCommand(command_string, status, replies)

    async def send_and_wait(self, command_string: str, timeout_s: float = READ_S) -> ArchonCommand:
        """The same; raises RuntimeError when the controller did not do it."""
        command = await self.send_command(command_string, timeout_s)
        if not command.succeeded():
            why = command.error or ", ".join(reply.raw.strip() for reply in command.replies)
            raise RuntimeError(f"{self.name} - {command_string} {command.status.value}: {why}")
        return command

    # ---- status ----------------------------------------------------------------------------------------------

    @property
    def status(self) -> ControllerStatus:
        """The status word as it was last seen: update_status(), or any status subscription."""
        return self._status

    async def update_status(self) -> ControllerStatus:
        """The status word now, from the host's memory: nothing is sent to the controller."""
        state = await self.call("state")
        word = state["controllers"][self.name]["status"]
        self._status = ControllerStatus(int(word)) if word is not None else ControllerStatus.UNKNOWN
        return self._status

    async def yield_status(self, period_s: float = 1.0) -> AsyncIterator[ControllerStatus]:
        """The status word now, and then whenever it has changed.

        The JSON face has no events: the host's memory is asked every ``period_s``, and what is shorter can be missed.
        While the host cannot be reached the exception is raised; begin again when it should be there.
        """
        last: Optional[ControllerStatus] = None
        while True:
            now = await self.update_status()
            if now != last:
                last = now
                yield now
            await asyncio.sleep(period_s)

    async def state(self) -> Dict[str, Any]:
        """What the host knows of this controller: power, configuration, exposure, alarms; from memory."""
        whole = await self.call("state")
        state: Dict[str, Any] = whole["controllers"][self.name]
        return state

    async def get_device_status(self) -> Dict[str, Any]:
        """A fresh STATUS, keys in lower case: voltages in V, currents in A, temperatures as the modules give them."""
        status: Dict[str, Any] = await self.call("status")
        self._status = ControllerStatus(int(status["status"]))
        return status

    async def get_system(self) -> Dict[str, Any]:
        """A fresh SYSTEM: modules, versions; keys in lower case."""
        system: Dict[str, Any] = await self.call("system")
        return system

    async def get_frame(self) -> Dict[str, int]:
        """A fresh FRAME: what is in the three frame buffers."""
        frame: Dict[str, Any] = await self.call("frame_status")
        return {key: value for key, value in frame.items() if key != "controller"}

    # ---- configuration ---------------------------------------------------------------------------------------

    async def read_config(self, save: bool = False) -> Tuple[Dict[str, str], List[str]]:
        """The configuration memory: an object KEY -> value, and the KEY=VALUE lines in their order.

        ``save``: the host also writes ``~/archon_<name>.acf``.
        """
        read = await self.call("config_read", timeout_s=CONFIGURE_S)
        lines = [str(line) for line in read["config"]]
        if save:
            await self.call("config_read", save=True, timeout_s=CONFIGURE_S)
        return dict((key, value) for key, _, value in (line.partition("=") for line in lines)), lines

    async def write_config(
        self, path: Union[str, "os.PathLike[str]"], applyall: bool = False, poweron: bool = False, **consent: Any
    ) -> Any:
        """Writes an ACF file, a path of the host below one of its configured roots, into configuration memory.

        Without ``applyall`` nothing takes effect. ``consent``: ``warm``, ``unchecked``, ``thermal``, ``bias_consent``.
        """
        if "\n" in os.fspath(path):
            raise ValueError("the text of an ACF file is not sent; give the path of a file of the host")
        return await self.call(
            "config_write", os.fspath(path), applyall=applyall, poweron=poweron, timeout_s=CONFIGURE_S, **consent
        )

    async def init(self, acf_file: Optional[str] = None, power: bool = True, **more: Any) -> Any:
        """Loads the ACF file with the configured overrides, applies it, powers the CCD on and resets."""
        return await self.call("init", acf_file, power=power, timeout_s=CONFIGURE_S, **more)

    async def write_line(
        self, keyword: str, value: Any, mod: Optional[str] = None, apply: bool = True, **consent: Any
    ) -> Any:
        """Writes one line of configuration memory; ``mod`` (``MOD4``) goes before the keyword."""
        key = f"{mod}/{keyword}" if mod else keyword
        return await self.call("write_line", key, value, apply=apply, timeout_s=WRITE_S, **consent)

    async def set_param(self, param: str, value: int) -> None:
        """Sets a running parameter of the timing script, 0 to 1048575."""
        await self.call("set_param", param, value, timeout_s=WRITE_S)

    async def get_param(self, param: str) -> Optional[int]:
        """Its value in configuration memory; None: there is no such parameter. The running value cannot be read."""
        value: Optional[int] = await self.call("get_param", param)
        return value

    async def set_autoflush(self, mode: bool) -> None:
        """Idle flushing on or off."""
        await self.set_param("AutoFlush", int(mode))

    async def get_window(self) -> Dict[str, int]:
        """The ten numbers of the readout window in force, lines and pixels of a tap."""
        window: Dict[str, int] = await self.call("get_window")
        return window

    async def set_window(self, window_mode: Optional[str] = None, **numbers: int) -> Dict[str, int]:
        """Sets the readout window: a configured mode, single numbers of the one in force, or both."""
        window: Dict[str, int] = await self.call("set_window", window_mode, timeout_s=WRITE_S, **numbers)
        return window

    async def reset_window(self) -> Dict[str, int]:
        """The window of the ACF file."""
        return await self.set_window("default")

    # ---- power, reset, flush ---------------------------------------------------------------------------------

    async def power(self, mode: Optional[bool] = None, **consent: Any) -> ControllerStatus:
        """Power of the CCD on or off; None: only tell. ``consent``: ``warm``, ``unchecked``."""
        if mode is None:
            await self.get_device_status()
        else:
            await self.call("power", "on" if mode else "off", timeout_s=WRITE_S, **consent)
        return await self.update_status()

    async def reset(self, timing: bool = False) -> None:
        """Makes the controller idle; a pending exposure is given up. ``timing``: restart the timing script too."""
        await self.call("reset", timing=timing, timeout_s=WRITE_S)
        await self.update_status()

    async def flush(self, count: int = 2) -> None:
        """Flushes the CCDs so often; a pending exposure is given up."""
        await self.call("flush", count, timeout_s=WRITE_S + FLUSH_S * count)
        await self.update_status()

    # ---- exposures -------------------------------------------------------------------------------------------

    async def expose(
        self, exposure_time: float = 1.0, readout: bool = True, **options: Any
    ) -> "asyncio.Task[Dict[str, Any]]":
        """Begins an exposure of so many seconds and returns when it exposes: a task to be awaited for its end.

        The task's result is the host's: ``verdict``, ``exposure_no``, ``filenames``, ``statistics`` and more; it ends
        when the files are on disk, or, with ``readout=False``, when the integration is over and readout() may come.
        Cancelling the task does not end the exposure: abort() does. ``options``: ``flavour``, ``window_mode``,
        ``header``, ``delay_readout``, ``count`` and the others of the method ``archon.<name>.expose``.
        """
        count = int(options.get("count", 1)) * (2 if options.get("with_dark") else 1)
        limit = count * (exposure_time + READOUT_S + float(options.get("delay_readout", 0)))
        call = self.call("expose", exposure_time, readout=readout, timeout_s=limit, **options)
        task: "asyncio.Task[Dict[str, Any]]" = asyncio.ensure_future(call)
        # A refusal is quick: until then what the status word shows may be somebody else's exposure.
        await asyncio.wait([task], timeout=LOOK_S)
        while not task.done():
            with contextlib.suppress(NotConnected, ConnectionLost, NoReply):  # the task tells what it means
                if await self.update_status() & BEGUN:
                    return task
            await asyncio.wait([task], timeout=LOOK_S)
        if task.exception() is None:
            await self.update_status()
            return task
        raise task.exception()  # type: ignore[misc]

    async def readout(self, delay: int = 0, header: Optional[Dict[str, Any]] = None) -> Dict[str, Any]:
        """Reads out the exposure made with ``readout=False`` and writes its files; ``delay``: slower by so many s."""
        result: Dict[str, Any] = await self.call_host("read", header, delay, timeout_s=READOUT_S + delay)
        await self.update_status()
        return result

    async def abort(self, readout: bool = False, flush: bool = False, reset: bool = False) -> None:
        """Ends the running exposure in any phase; the task of expose() fails with the host's words.

        A frame that is in a controller stays there, locked, until it is recovered or discarded.
        """
        if readout:
            raise ValueError("the host gives an aborted integration up; there is nothing to read out")
        await self.call_host("abort", flush=flush, reset=reset, timeout_s=WRITE_S + (FLUSH_S if flush else 0.0))
        await self.update_status()

    async def fetch(self, buffer_no: int = -1, return_buffer: bool = False, file: Optional[str] = None) -> Any:
        """A frame buffer as it is: an array where numpy and astropy are and the host's disk can be read, else the path.

        ``buffer_no``: 1 to 3; -1: the newest complete one. The host writes a FITS file, ``file`` below one of its roots
        or the next ``~/archon_<name>_NNNN.fits``; it stays. ``return_buffer``: ``(image, buffer)``.
        Images of exposures need no fetch: their files are in the result of expose().
        """
        told = await self.call("frame_fetch", buffer_no, file, timeout_s=READOUT_S)
        loop = asyncio.get_running_loop()
        image = await loop.run_in_executor(None, read_image, str(told["file"]))
        return (image, int(told["buffer"])) if return_buffer else image


def read_image(path: str) -> Any:
    """The first image of a FITS file as an array; the path itself where that cannot be."""
    try:
        from astropy.io import fits  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError:
        return path
    if not pathlib.Path(path).exists():  # the host is another computer
        return path
    with fits.open(path, memmap=False) as units:
        for unit in units:
            if unit.data is not None:
                return unit.data
    return path
