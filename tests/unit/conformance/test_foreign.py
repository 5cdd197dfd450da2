"""The realm of tests/foreign passes the conformance suite, and fails it with any of some faults."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from chatd.conformance.command import FAILED, PASSED, main
from tests.foreign import realm as foreign
from tests.foreign.realm import Realm
from tests.foreign.wire import Entry, Link, pack, sha256, unpack
from tests.support.foreign_host import ForeignHost

PATIENCE = "20"  # seconds, on a machine with much to do


class Forgetful(Realm):
    """Takes what it has had for new."""

    def deliver(self, realm: str, parcels: list[Any]) -> bytes:
        self.kept["seen"].clear()
        return super().deliver(realm, parcels)


class OnlyHigher(Realm):
    """Takes numbers below others for repetitions."""

    def deliver(self, realm: str, parcels: list[Any]) -> bytes:
        most = max((number for _, number, *_ in self.kept["seen"]), default=0)
        self.kept["seen"].update(dict.fromkeys((realm, n) for n, _ in parcels if n < most))
        return super().deliver(realm, parcels)


class AnyVersion(Realm):
    """Lets realms of every version in."""

    def take_hello(self, link: Link, box: Any) -> None:
        super().take_hello(link, {**box, b"version": b"2"})


class AnyName(Realm):
    """Believes the name in Hello."""

    def take_hello(self, link: Link, box: Any) -> None:
        link.dns = box[b"realm"].decode().lower()
        super().take_hello(link, box)


class Impatient(Realm):
    """Asks before Hello."""

    async def shaken(self, link: Link) -> None:
        await super().shaken(link)
        link.callRemoteString(b"Ping", True).addErrback(lambda _: None)


class Indiscreet(Realm):
    """Sends changes to realms that do not take them."""

    def send(self, realm: str, *parcel: Any) -> int:
        if (link := self.links.get(realm)) is not None:
            link.takes.append("changes")
        return super().send(realm, *parcel)


class Stubborn(Realm):
    """Sends again what was refused."""

    async def flush(self, realm: str) -> None:
        before = dict(self.kept["outbox"].get(realm, {}))
        await super().flush(realm)
        self.kept["outbox"].setdefault(realm, {}).update(before)


class Remembers(Realm):
    """Sends the words of deleted messages."""

    def change(self, name: Any, place: Any, by: str, text: str | None) -> None:
        waiting = {number: list(each) for _, number, each in self.waiting()}
        super().change(name, place, by, text)
        for _, number, parcel in self.waiting():
            parcel[:] = waiting[number]

    def waiting(self) -> list[tuple[str, int, list[Any]]]:
        outbox = self.kept["outbox"].items()
        return [(realm, number, each) for realm, waits in outbox for number, each in waits.items()]


class Open(Realm):
    """Lets everybody change messages."""

    def change(self, name: Any, place: Any, by: str, text: str | None) -> None:
        if (message := self.kept["messages"].get(name)) is not None:
            place, by = message[:2]
        super().change(name, place, by, text)


class Credulous(Realm):
    """Takes each edit of a group for its author's."""

    def change(self, name: Any, place: Any, by: str, text: str | None) -> None:
        message = self.kept["messages"].get(name)
        super().change(name, place, message[1] if message else by, text)


FAULTS = {
    Forgetful: "a repeated message does not undo its deletion",
    OnlyHigher: "a number below others is no repetition",
    AnyVersion: "version 1 gets a Goodbye",
    AnyName: "a name that is not that of the certificate",
    Impatient: "asks nothing before Hello",
    Indiscreet: "changes are not sent to a realm that does not announce them",
    Stubborn: "what is refused is not sent again",
    Remembers: "deleted while it waits",
    Open: "an edit by another person",
    Credulous: "a home edits nobody's messages",
}


class ForeignConformance(TestCase):
    timeout = 60

    async def check(self, kind: type[Realm], *more: str) -> tuple[int, list[dict[str, Any]]]:
        """The exit code of the suite, and its results."""
        host = ForeignHost(Path(self.mktemp()), kind)
        shown = io.StringIO()
        arguments = ["127.0.0.1", str(host.port), "--user", "ana", "--json"]
        try:
            code = await deferToThread(main, [*arguments, *more], host, shown)
        finally:
            await host.stop()
        return code, [json.loads(line) for line in shown.getvalue().splitlines()]

    async def test_passes(self) -> None:
        code, results = await self.check(Realm, "--patience", PATIENCE)
        failed = [each for each in results if each["outcome"] == "fail"]
        self.assertEqual((failed, code), ([], PASSED))
        self.assertGreater(len([each for each in results if each["outcome"] == "pass"]), 70)

    async def test_faults(self) -> None:
        """Each fault is found by the check that is made for it, which passes without the fault."""
        for kind, words in FAULTS.items():
            code, results = await self.check(kind, "--patience", "2", "--only", words)
            outcomes = [each["outcome"] for each in results]
            self.assertEqual((code, outcomes), (FAILED, ["fail"]), kind.__name__)

    async def test_unsigned(self) -> None:
        """A realm that does not look at signatures fails."""

        class Unverified(Entry):
            def __init__(self, signed: Any, keys: Any) -> None:
                statement, _, *content = signed
                *head, _ = unpack(statement)
                again = pack([*head, sha256(*content)])
                super().__init__([again, [b"", 0, 1, b"", b""], *content], {})
                self.verified = True

        self.patch(foreign, "Entry", Unverified)
        for words in ("an entry with another content", "an entry without a signature"):
            code, _ = await self.check(Realm, "--only", words)
            self.assertEqual(code, FAILED)
