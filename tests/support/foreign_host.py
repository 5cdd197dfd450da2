"""The realm of tests/foreign at a port, with people who act as the conformance suite asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.threads import blockingCallFromThread

from chatd.conformance.names import dns_name, new_key, write_certificate
from tests.foreign.realm import Realm
from tests.foreign.wire import Link, Refused
from tests.support.peering import net, until

NAME = "foreign.example"
MESSAGE: list[Any] = ["message", None, [], None, None, None]


class ForeignHost:
    """Runs the foreign realm at a port, and lets its people act as the suite asks."""

    def __init__(self, folder: Path, kind: type[Realm] = Realm) -> None:
        self.kind = kind
        folder.mkdir()
        self.folder = folder
        self.port = 0
        self.open: list[Link] = []
        self.groups: dict[Any, str] = {}
        write_certificate(folder / "tls.pem", new_key(), dns_name(NAME))
        self.start()

    def start(self) -> None:
        self.realm = self.kind(NAME, self.folder, net, {"ana"})
        build = self.realm.buildProtocol

        def noted(address: Any) -> Link:
            self.open.append(build(address))
            return self.open[-1]

        self.realm.buildProtocol = noted  # type: ignore[method-assign]
        self.door = net.listenSSL(self.port, self.realm, self.realm.tls, interface="127.0.0.1")
        self.port = self.door.getHost().port

    async def stop(self) -> None:
        await self.door.stopListening()
        for link in self.open:
            if link.transport is not None:
                link.transport.abortConnection()
        await until(lambda: all(link.transport is None for link in self.open))

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Act in the reactor's thread. The suite has a thread of its own."""

        def work() -> Deferred[dict[str, Any]]:
            return ensureDeferred(self.acts(**request))

        found: dict[str, Any] = blockingCallFromThread(net, work)
        return found

    def texts(self, place: str) -> list[str | None]:
        shown, realm = place.lstrip("#"), self.realm
        groups = self.groups
        return [
            text
            for where, _, text, *_ in realm.kept["messages"].values()
            if (shown in where if isinstance(where, set) else groups[where] == shown)
        ]

    def named(self, text: str) -> int:
        """The number of the message with that text."""
        kept = self.realm.kept["messages"].items()
        return next(int(number) for (_, number), message in kept if message[2] == text)

    async def acts(self, **request: Any) -> dict[str, Any]:
        try:
            return await self.act(**request)
        except Refused as error:
            return {"ok": False, "code": error.args[0]}

    async def act(self, do: str, user: str, **more: Any) -> dict[str, Any]:
        realm, now = self.realm, int(net.seconds() * 1000)
        name, _, where = more.get("to", more.get("group", "")).partition("@")
        match do:
            case "send":
                realm.send(where, "direct", user, name, now, more["text"], None)
            case "edit":
                target = [True, self.named(more["text"])]
                realm.send(where, "edit", user, name, now, target, more["new"])
            case "delete":
                realm.send(where, "delete", user, name, now, [True, self.named(more["text"])])
            case "history":
                return {"ok": True, "texts": self.texts(more["place"])}
            case "join":
                group = await realm.join(where, name, user)
                await until(lambda: realm.kept["groups"].get((where, group)))
                self.groups[where, group] = f"{name}@{where}"
            case "post":
                group = next(
                    ident for (home, ident), each in self.groups.items() if each == more["group"]
                )
                realm.send(
                    where, "post", realm.entry(where, group, user, MESSAGE, more["text"]), name
                )
            case "restart":
                await self.stop()
                self.start()
            case _:
                return {"ok": False, "code": "unsupported"}
        return {"ok": True}
