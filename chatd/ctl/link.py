"""The connection of chatctl to a running realm: the control socket, and the json dialect on it."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from chatd.base.control_path import CONTROL_SOCKET, control_path
from chatd.ctl.exits import NotReached
from chatd.ctl.saving import CHUNK, Saving

CONNECT_TIME = 10.0  # seconds


class NotRunning(NotReached):
    """No realm listens at the control socket."""


class ControlLink:
    """A connection to the realm with that state folder. Use it as a context manager."""

    def __init__(self, state: Path) -> None:
        """Raises NotReached."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        path = state / CONTROL_SOCKET
        try:
            self._socket.settimeout(CONNECT_TIME)
            with control_path(state) as short:
                self._socket.connect(short)
            self._socket.settimeout(None)  # a command may take long
        except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
            self._socket.close()
            raise NotRunning(f"no realm is running with the state folder {state}") from None
        except PermissionError:
            self._socket.close()
            raise NotReached(
                f"you may not use {path}; become the user that runs chatd, or join the group of "
                "[realm] control_group"
            ) from None
        except OSError as error:
            self._socket.close()
            raise NotReached(f"{path} can't be used: {error.strerror or error}") from None
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> ControlLink:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        self._socket.close()

    def ask(
        self, verb: str, given: Mapping[str, Any], saving: Saving | None = None
    ) -> dict[str, Any]:
        """The reply to a command. The file that follows it is saved by `saving`. Raises NotReached, and as
        Saving.open."""
        request = {"id": 1, "command": verb, **given}
        try:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while line := self._file.readline():
                reply: dict[str, Any] = json.loads(line)
                if reply.pop("id", None) == 1:
                    if saving is not None and reply["status"] == "OK":
                        self._save(reply, saving)
                    return reply
                if reply.get("event") == "closing":
                    raise NotReached(str(reply.get("message")))
        except OSError as error:
            raise NotReached(f"the realm is gone: {error.strerror or error}") from None
        raise NotReached(
            "the realm has closed the connection before it replied; chatctl audit says how far it came"
        )

    def _save(self, reply: Mapping[str, Any], saving: Saving) -> None:
        left = int(reply["size"])
        with saving.open(reply) as file:
            while left and (data := self._file.read(min(left, CHUNK))):
                file.write(data)
                left -= len(data)
