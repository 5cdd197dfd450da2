"""Tells systemd about the state of the daemon, and that it is alive (sd_notify(3), systemd.service(5)).

Messages are datagrams to the socket that the environment variable NOTIFY_SOCKET names. Without it nothing is
sent. Nothing here fails: a daemon does not end because its supervisor does not listen.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatd.base.timers import Timer

PINGS = 3  # in the time within which systemd expects one
MAX_STATUS = 200  # characters

log = Logger()


class Supervision(msgspec.Struct, frozen=True):
    """What systemd asks for. `address` is that of its socket, or empty. `watchdog` is the time in seconds
    within which it expects a sign of life; 0 if it expects none."""

    address: str = ""
    watchdog: float = 0.0


def supervision_of(environment: Mapping[str, str], process_id: int) -> Supervision:
    """What the environment of a process says. A watchdog may be meant for another process."""
    address = environment.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return Supervision()
    try:
        watchdog = int(environment.get("WATCHDOG_USEC", "0")) / 1e6
        meant_for = int(environment.get("WATCHDOG_PID", process_id))
    except ValueError:
        return Supervision(address)
    return Supervision(address, watchdog if meant_for == process_id else 0.0)


class ServiceManager:
    """Sends the messages. `monotonic` returns the microseconds of CLOCK_MONOTONIC. `probe` returns a Deferred
    that fires or fails as soon as the parts of the daemon that must live have answered."""

    def __init__(
        self,
        supervision: Supervision,
        clock: IReactorTime,
        monotonic: Callable[[], int],
        probe: Callable[[], Deferred[Any]],
    ) -> None:
        self._supervision = supervision
        self._monotonic = monotonic
        self._probe = probe
        self._timer = Timer(clock, self._tick)
        self._probing = False
        self._stopping = False
        self._failing = False

    def ready(self, status: str) -> None:
        """The daemon has started, or has ended a reload."""
        self._send(f"READY=1\nSTATUS={_line(status)}")
        if self._supervision.watchdog and not self._stopping:
            self._timer.start(self._interval)

    def reloading(self) -> None:
        """The daemon reloads its configuration. `ready` ends that."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={self._monotonic()}\nSTATUS=Reloading")

    def stopping(self) -> None:
        """The daemon begins to stop. From now on it is enough that the reactor is alive."""
        self._stopping = True
        self._send("STOPPING=1\nSTATUS=Shutting down")

    def stopped(self) -> None:
        """The daemon has stopped."""
        self._timer.cancel()

    @property
    def _interval(self) -> float:
        return self._supervision.watchdog / PINGS

    def _tick(self) -> None:
        self._timer.start(self._interval)
        if self._stopping:
            self._send("WATCHDOG=1")
        elif not self._probing:  # a probe that does not answer is the last one
            self._probing = True
            self._probe().addBoth(self._answered)

    def _answered(self, _result: object) -> None:
        # A database that refuses is alive. A restart makes no room on a disk.
        self._probing = False
        self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        address = self._supervision.address
        if not address:
            return
        if address.startswith("@"):  # the abstract namespace, unix(7)
            address = "\0" + address[1:]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(message.encode(), address)
            self._failing = False
        except OSError as error:
            if not self._failing:
                log.warn("systemd can't be told anything: {error}", error=str(error))
            self._failing = True


def _line(text: str) -> str:
    """`text` on one line of limited length."""
    return " ".join(text.split())[:MAX_STATUS]
