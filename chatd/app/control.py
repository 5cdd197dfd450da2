"""The control socket of a realm, in its state folder: over it, chatctl does what operators do."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from contextlib import ExitStack
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from chatd.app.realm import Realm
from chatd.app.state import StartError
from chatd.base.control_path import CONTROL_SOCKET, control_path
from chatd.lines.control import ControlFactory
from chatd.net.eager import FlushQueue, make_eager

log = Logger()


class ControlSocket:
    """The listening socket. Open it while the state folder is locked, because it replaces the socket that a
    killed process has left."""

    def __init__(self, realm: Realm) -> None:
        self._reactor: Any = realm.environment.reactor
        self._realm = realm
        self._state = realm.config.state
        self._path = self._state / CONTROL_SOCKET
        self._group: grp.struct_group | None = None
        self._port: IListeningPort | None = None
        self._resources = ExitStack()

    def open(self, flush_queue: FlushQueue) -> ControlFactory:
        """Listen. Returns the factory of the connections. Raises StartError. A system that allows no socket
        there is only logged, because the realm can do its work."""
        self._group = self._find_group()
        realm = self._realm
        factory = ControlFactory(realm.service, realm.sessions, flush_queue, self._users())
        try:
            self._listen(factory)
        except (OSError, CannotListenError) as error:
            log.error(
                "{path} can't be opened, so chatctl can't reach this realm: {error}",
                path=str(self._path),
                error=str(error),
            )
        return factory

    def _listen(self, factory: ControlFactory) -> None:
        """Raises OSError, CannotListenError, StartError."""
        self._remove_old()
        path = self._resources.enter_context(control_path(self._state))
        # Nobody else may connect, not even for the moment between bind(2) and chmod(2).
        old = os.umask(0o177)
        try:
            port = self._reactor.listenUNIX(path, factory, mode=0o600, wantPID=False)
        finally:
            os.umask(old)
        self._port = port
        make_eager(port)
        if self._group is not None:
            os.chown(self._state, -1, self._group.gr_gid)
            self._state.chmod(0o710)
            os.chown(self._path, -1, self._group.gr_gid)
            self._path.chmod(0o660)

    def _remove_old(self) -> None:
        """Remove the socket of a killed process. Raises OSError, StartError."""
        try:
            mode = self._path.lstat().st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(mode):
            raise StartError(f"{self._path} is in the way; expected a socket, or nothing")
        self._path.unlink()

    def _find_group(self) -> grp.struct_group | None:
        """Raises StartError."""
        name = self._realm.config.control_group
        if not name:
            return None
        try:
            return grp.getgrnam(name)
        except KeyError:
            raise StartError(
                f"[realm] control_group is {name!r}; expected a group of this system"
            ) from None

    def _users(self) -> dict[int, str]:
        """The names of those who may connect, by their ids. They are looked up now, because that may ask the
        network."""
        users = {0: "root"}
        try:
            users[os.getuid()] = pwd.getpwuid(os.getuid()).pw_name
        except KeyError:
            log.debug("user {uid} of the system has no name", uid=os.getuid())
        for name in self._group.gr_mem if self._group is not None else ():
            try:
                users[pwd.getpwnam(name).pw_uid] = name
            except KeyError:
                log.debug("member {name} of the group does not exist", name=name)
        return users

    def close(self) -> Deferred[None]:
        """Stop listening, which removes the socket."""
        port, self._port = self._port, None
        stopping: Deferred[Any] = maybeDeferred(lambda: port and port.stopListening())
        return stopping.addBoth(self._closed)

    def _closed(self, result: Any) -> Any:
        self._resources.close()
        return result
