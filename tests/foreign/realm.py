"""A small realm: its people write to others, and are in groups elsewhere."""

import ast
import os
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.internet.defer import ensureDeferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.protocol import ServerFactory

from tests.foreign import wire
from tests.foreign.wire import Entry, Link, Refused, key_of, pack, unpack

NEEDS = {"edit": "changes", "delete": "changes", "post": "groups"}


class Realm(ServerFactory):
    """The factory of links that others dial. The journal is one file, which each change replaces."""

    def __init__(self, name: str, folder: Path, clock: Any, users: set[str]) -> None:
        self.name, self.key, self.clock, self.users = name, key_of(name), clock, users
        self.tls, self.journal = wire.make_tls(str(folder / "tls.pem")), folder / "journal"
        self.links, self.joining, self.instance = dict[str, Any](), set[Any](), os.urandom(16)
        self.journal.touch()
        self.kept: Any = defaultdict(dict, ast.literal_eval(self.journal.read_text() or "{}"))
        seed = self.kept.setdefault("seed", os.urandom(32))
        self.signer = Ed25519PrivateKey.from_private_bytes(seed)
        public = self.signer.public_key().public_bytes_raw()
        self.kept["keys"][self.key] = {public: [public, 0, None]}
        term = int((clock.seconds() - 1_577_836_800) * 1024) << 22
        self.number = max(term, self.kept.get("number", 0) | (1 << 22) - 1)

    def save(self) -> None:
        """Everything is on disk when this returns."""
        self.kept["number"] = self.number
        with (new := self.journal.with_suffix(".new")).open("w") as file:
            file.write(repr(dict(self.kept)))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.journal)

    def buildProtocol(self, address: Any) -> Link:
        return Link(self, dialled=False)

    async def shaken(self, link: Link) -> None:
        """TLS is up, and the certificate alone decides: the first one that a realm shows counts."""
        if not link.dns or self.kept["pins"].setdefault(link.dns, link.shown) != link.shown:
            link.close("certificate-changed", "another certificate is remembered")
        elif link.dialled:
            self.take_hello(link, await link.ask("Hello", **self.hello()))

    def hello(self) -> dict[str, bytes]:
        about = {"realm": self.name.encode(), "version": b"2", "instance": self.instance}
        about["keys"] = pack([*self.kept["keys"][self.key].values()])
        return {**about, "capabilities": wire.write_texts(["lines", "changes", "groups"])}

    def take_hello(self, link: Link, box: Any) -> None:
        if (version := box[b"version"].decode()) != "2":
            link.close("other-version", f"it speaks version {version}, and this realm version 2")
            return
        if wire.dns_name(realm := key_of(box[b"realm"].decode())) != link.dns:
            raise Refused("wrong-name", {})
        old: Any = self.links.get(realm)
        both = old and (old.instance, not old.dialled) == (box[b"instance"], link.dialled)
        young = both and not old.closed and old.began + 10 > self.clock.seconds()
        if young and link.dialled != (self.key < realm):
            raise Refused("already-linked", {})
        try:
            keys = {bytes(key): [key, since, until] for key, since, until in unpack(box[b"keys"])}
            assert [*map(len, keys)] == [32] * min(len(keys), 16)
        except wire.MALFORMED as error:
            raise Refused("bad-keys", {}) from error
        self.kept["keys"][realm] = {**self.kept["keys"].get(realm, {}), **keys}
        link.other, link.instance, self.links[realm] = realm, box[b"instance"], link
        link.takes = wire.read_texts(box[b"capabilities"])
        if old:
            old.close()
        self.clock.callLater(0, lambda: ensureDeferred(self.flush(realm)))

    def send(self, realm: str, *parcel: Any) -> int:
        """Put a parcel into the outbox, and return its number. Refused if the other realm lacks it."""
        link = self.links.get(realm)
        if link and NEEDS.get(parcel[0], "") not in ["", *link.takes]:
            raise Refused("not-supported-there", {})
        self.number += 1
        self.apply(realm, self.number, True, parcel)
        self.kept["outbox"].setdefault(realm, {})[self.number] = list(parcel)
        self.save()
        ensureDeferred(self.flush(realm))
        return int(self.number)

    def entry(self, home: str, place: Any, by: str, what: Any, text: str, about: Any = None) -> Any:
        """An entry with the next number. `place` is a group's id, or its key where that is not known."""
        head = [self.key, self.number + 1, home, place, by, about, int(self.clock.seconds() * 1000)]
        return wire.sign(self.signer, head, what, text.encode())

    async def join(self, home: str, group: str, user: str) -> int:
        what = ["member", "joined", f"{user}@{self.name}"]
        entry = pack(self.entry(home, key_of(group), user, what, ""))
        self.number += 1
        self.joining.add((home, key_of(group), user))
        names = {"user": user.encode(), "group": group.encode()}
        return int((await self.links[home].ask("Join", **names, entry=entry))[b"group_id"])

    async def flush(self, realm: str) -> None:
        """Deliver what waits, one batch at a time. What has no verdict goes over the next link again."""
        link = self.links.get(realm)
        while link and not link.busy and (waiting := self.kept["outbox"].get(realm)):
            batch, link.busy = sorted(waiting.items())[:7], True
            try:
                answer = await link.ask("Deliver", parcels=pack(batch))
            except (Refused, ConnectionClosed):
                link.close()
                return
            verdicts = unpack(answer[b"verdicts"] or pack([["", {}, 0]] * len(batch)))
            for (number, _), verdict in zip(batch, verdicts, strict=True):
                del waiting[number]
                self.kept["outcomes"][number] = verdict
            self.save()
            link.busy = False

    def command(self, link: Link, name: str, box: Any) -> dict[str, bytes]:
        if name == "Goodbye":
            link.close()
        if name == "Hello" and not link.other:
            self.take_hello(link, box)
            return self.hello()
        if not link.other or name == "Hello":
            raise Refused("already-greeted" if link.other else "not-greeted", {})
        if name == "Deliver":
            return {"verdicts": self.deliver(link.other, unpack(box[b"parcels"]))}
        answers = {"Presence": {"states": pack({})}, "Tails": {"tails": pack({})}}
        if name in ("Presence", "Tails", "Ping", "Return", "Typing", "FileReady"):
            return answers.get(name, {})
        group = name in ("Find", "Join", "Members", "Change", "Past")
        raise Refused("unknown-group" if group else "unknown-command", {"name": "that"})

    def deliver(self, realm: str, parcels: list[Any]) -> bytes:
        verdicts: list[Any] = []
        if not isinstance(parcels, list) or len(parcels) > 1000:
            raise Refused("bad-batch", {})
        for number, parcel in [(int(number), parcel) for number, parcel in parcels]:
            try:
                if (realm, number) not in self.kept["seen"]:
                    self.apply(realm, number, False, parcel)
                    self.kept["seen"][realm, number] = True
                verdicts.append(["", {}, 0])
            except Refused as refusal:
                verdicts.append([*refusal.args, 0])
        self.save()
        return pack(verdicts) if any(verdict[0] for verdict in verdicts) else b""

    def apply(self, realm: str, number: int, ours: bool, parcel: Any) -> None:
        """Change what is kept as a parcel says. Refused if it may not."""
        (us, them), groups = (self.key, realm) if ours else (realm, self.key), self.kept["groups"]
        match parcel:
            case ["direct", str(by), str(to), int(), str() | None as text, None, *more]:
                self.check(by, by if ours else to, "-" if text is None else text, more[2:5])
                place = {f"{by}@{us}", f"{to}@{them}"}
                self.kept["messages"][us, number] = [place, f"{by}@{us}", text]
            case ["edit" | "delete" as kind, str(by), str(to), int(), [own, int(target)], *more]:
                self.check(by, by if ours else to, (more or ["-"])[0] if kind == "edit" else "-")
                place, name = {f"{by}@{us}", f"{to}@{them}"}, (us if own else them, target)
                self.change(name, place, f"{by}@{us}", more[0] if kind == "edit" else None)
            case ["joined", str(group), int(group_id), str(user), int(), *_]:
                if (realm, key_of(group), user) not in self.joining:
                    raise Refused("not-requested", {"name": user, "group": group})
                groups.setdefault((realm, group_id), set()).add(user)
            case ["removed", str(group), int(group_id), str(user), *_]:
                groups.get((realm, group_id), set()).discard(user)
            case ["relay", entry, str(group), int(group_id), int()]:
                if not groups.get((realm, group_id)):
                    raise Refused("unknown-group", {"name": group})
                self.relay(realm, (realm, group_id), group, entry)
            case [str(kind), *_] if ours or kind in ("read", "group-read", "accepted", "file-lost"):
                pass  # it changes nothing here
            case _:
                raise Refused("bad-parcel", {})

    def check(self, by: str, user: str, text: str, more: Any = ()) -> None:
        wrong = {"bad-name": "@" in by, "unknown-user": user not in self.users}
        wrong |= {"not-supported-there": any(more), "empty-text": not text.strip()}
        wrong |= {"message-too-long": len(text.encode()) > 8192}
        wrong |= {"bad-text": bool(re.search(r"[\0-\x08\x0b-\x1f]", text))}
        for code in [code for code, is_so in wrong.items() if is_so]:
            raise Refused(code, {"name": user, "size": len(text.encode()), "limit": 8192})

    def change(self, name: Any, place: Any, by: str, text: str | None) -> None:
        """Edit a message of that place, or delete it. What is deleted stays so, also in the outbox."""
        message = self.kept["messages"].get(name, [None])
        here, known = isinstance(place, set) or text is not None, message[0] == place
        if known and here and by != message[1]:  # in a group, the home lets its admins delete
            raise Refused("not-yours", {"seq": 0, "who": "its author"})
        if not known:
            if text is None:
                return
            raise Refused("unknown-message", {})
        message[2] = text if message[2] is not None else None
        for number, parcel in [p for waits in self.kept["outbox"].values() for p in waits.items()]:
            if name == (self.key, number) and text is None and parcel[0] == "direct":
                parcel[4] = None
            if text is None and parcel[0] == "edit" and parcel[4] == [True, name[1]]:
                parcel[5] = None

    def relay(self, home: str, place: Any, name: str, signed: Any) -> None:
        """An entry of a group. It is known by its author's realm and its number there, whoever sends it."""
        entry = Entry(signed, self.kept["keys"])
        needed, who = entry.realm in (home, self.key) or entry.kind == "edited", entry.realm
        if entry.kind == "member" and entry.what[1:2] in (["joined"], ["left"]):
            who = key_of(entry.what[2].rpartition("@")[2])
        there = (entry.home, entry.group) in (place, (home, key_of(name)))
        if not there or who != entry.realm or needed > entry.verified:
            raise Refused("bad-signature", {"reason": "it is not of this group, or nobody's"})
        by, text = f"{entry.author}@{entry.realm}", None if entry.gone else entry.body.decode()
        if (about := (*entry.name, "entry")) in self.kept["seen"]:
            return
        if entry.kind == "message":
            self.kept["messages"].setdefault(entry.name, [place, by, text, entry.verified])
        elif entry.kind in ("edited", "deleted"):
            self.change(tuple(entry.target), place, by, text if entry.kind == "edited" else None)
        self.kept["seen"][about] = True
