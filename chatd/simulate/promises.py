"""What has to be true after a simulation, once nothing fails any more and everything has arrived."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import combinations, permutations
from typing import Any

import sqlalchemy as sa

from chatd.base.attachments import HERE
from chatd.base.errors import ChatError, UnknownUser
from chatd.base.events import StateChange
from chatd.base.model import REFUSED, Message
from chatd.base.replies import ConversationInfo
from chatd.commands import values as ask
from chatd.simulate.read_promises import check_forwards, check_marks
from chatd.simulate.records import Violation, Written, require
from chatd.simulate.request_promises import check_requests
from chatd.simulate.world import World, content
from chatd.store.schema import pending

MAX_PAGES = 50
PATIENCE = 700.0  # seconds until all realms are linked again
QUIET = 130.0  # seconds in which the last tasks end: some run once a minute
QUIET_OF_NODES = 70.0  # seconds; their beats take time


class Promises:
    """Call `settle`, then `check`. Both raise Violation, or Stuck if something never ends."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._network = world.network
        self._views: dict[str, list[tuple[ConversationInfo, Any]]] = {}

    def settle(self) -> None:
        """Give everything time to arrive, and repeat the requests that were not answered."""
        self._network.until(self._are_linked, PATIENCE)
        self._network.advance(12)
        self._insist()
        self._confirm()
        self._network.until(lambda: not self._waiting())
        self._network.advance(QUIET_OF_NODES if self._world.shared else QUIET)

    def _are_linked(self) -> bool:
        """Whether some process of each realm is connected to some one of each other realm."""
        return all(
            any(
                self._network.open_connections(one, two)
                for one in self._world.servers_of(near.name)
                for two in self._world.servers_of(far.name)
            )
            for near, far in combinations(self._world.honest_servers, 2)
        )

    def _insist(self) -> None:
        for request in self._world.requests:
            if not self._world.is_honest(request.name):
                continue
            if request.key is not None and not request.replies and not self._world.restored:
                self._world.trace.say(f"{request.name} sends {request.key} again")
                request.send()

    def _confirm(self) -> None:
        """Let all clients send one more command: it confirms what they have read."""
        for name in self._world.honest_people:
            self._world.people[name].begins(ask.CountUnread())

    def _waiting(self) -> int:
        hostile = self._world.hostile
        return sum(server.parcels_waiting(hostile) for server in self._world.honest_servers)

    def check(self) -> None:
        require(not self._waiting(), "everything queued is delivered in the end")
        people = self._world.honest_people
        for name in people:
            self._views[name] = list(self._read(name))
        for one, two in combinations(people, 2):
            if not self._world.are_strangers(one, two):
                self._check_direct(one, two)
        for stranger, asked in permutations(people, 2):
            if self._world.is_stranger(stranger, asked):
                check_requests(self._world, stranger, asked, self._views)
        for name in people:
            self._check_words(name)
            self._check_told(name)
            self._check_counts(name)
            check_marks(self._world, name, self._views)
            check_forwards(self._world, name, self._views)
            self._check_cursors(name)
            self._check_files(name)
        self._check_pending()
        self._check_errors()
        self._check_bytes()

    def _read(self, name: str) -> Iterator[tuple[ConversationInfo, Any]]:
        """The conversations in somebody's list, with what they see of each."""
        person = self._world.people[name]
        for each in person.does(ask.ListConversations()).items:
            yield each, person.does(ask.ShowHistory(each.conversation, 500))

    # Directs

    def _check_direct(self, one: str, two: str) -> None:
        here, there = self._shown(one, two), self._shown(two, one)
        for log in (here, there):
            self.check_once(log)
        for author in (one, two):
            ours, theirs = (
                [seen(each) for each in log if plain(each.sender) == author]
                for log in (here, there)
            )
            if self._world.restored:  # what came back may have come late
                ours, theirs = sorted(ours, key=str), sorted(theirs, key=str)
            require(
                ours == theirs,
                f"both sides of a direct see the same of {author}",
                f"{one} sees {ours}",
                f"{two} sees {theirs}",
            )
        for reader, log in ((one, here), (two, there)):
            for each in self._world.written.values():
                if {each.author, each.to} == {one, two}:
                    self.check_written(reader, each, log)
            self.check_order(log)

    def _shown(self, reader: str, other: str) -> list[Message]:
        """What somebody sees of a direct."""
        with_other = str(self._world.address(other, reader))
        for each, page in self._views[reader]:
            if each.group is None and each.user == with_other:
                return list(page.items)
        return []

    def _check_words(self, name: str) -> None:
        """Nothing that somebody reads is said in the name of a person of an honest realm who has not said it,
        also in conversations with a hostile realm."""
        people = {str(self._world.address(each, name)): each for each in self._world.honest_people}
        for _, page in self._views[name]:
            said = [
                each
                for each in page.items
                if each.sender in people and not each.unverified and each.forwarded is None
            ]
            self.check_once(said)
            for message in said:
                written = self._written(message)
                require(
                    (message.text is None and message.file is None)
                    or (written is not None and written.author == people[message.sender]),
                    "nobody speaks in the name of others",
                    name,
                    message,
                )

    def check_once(self, log: list[Message]) -> None:
        tags = Counter(each.tag for message in log if (each := self._written(message)))
        twice = [tag for tag, times in tags.items() if times > 1]
        require(not twice, "nothing is doubled", twice)

    def _written(self, message: Message) -> Written | None:
        if message.forwarded is not None:
            return None  # see chatd.simulate.read_promises
        if message.file is not None:
            return self._world.of_text(message.file.name)
        return self._world.of_text(message.text)

    def check_written(self, reader: str, written: Written, log: list[Message]) -> None:
        """Compare a message with what was asked for."""
        found = [each for each in log if self._written(each) is written]
        if not found:
            gone = True in written.deleted.values or not written.acknowledged
            require(gone or self._world.restored, "nothing acknowledged is lost", written, reader)
            return
        (message,) = found
        require(
            (message.text or written.text.asked[0]) in written.text.asked,
            "nobody puts words into others' mouths",
            message,
        )
        if self._world.restored:
            return
        require(False in written.deleted.values, "what is deleted stays deleted", message)
        if not written.file:
            require(
                message.text in written.text.values, "the last edit counts", message, written.text
            )
        if written.to.startswith("#"):  # in a direct, both may pin and unpin at once
            require(message.pinned in written.pinned.values, "the last pin counts", message)
        there = {
            (plain(person), each.emoji) for each in message.reactions for person in each.people
        }
        for key, register in written.reactions.items():
            require((key in there) in register.values, "the last reaction counts", key, message)

    def check_order(self, log: list[Message]) -> None:
        """Messages that were sent once, and acknowledged, are in the order of sending. A client does not send
        a reply or a file before everything else is answered; here, people do that on another device."""
        if self._world.restored:
            return
        last: dict[str, int] = {}
        for message in log:
            written = self._written(message)
            if written is None or not written.ordered or written.request.again:
                continue
            if not self._world.is_honest(written.author):
                continue
            number = int(written.tag[1:])
            if written.acknowledged:
                before = last.setdefault(written.author, -1)
                require(before < number, "messages keep their order", written, f"after m{before}")
                last[written.author] = number

    # What people are told

    def _check_told(self, name: str) -> None:
        """The sender is told of a message that reached nobody, and of no other."""
        if self._world.restored:
            return
        try:
            notices = [each.text or "" for each in self._world.shown(name, "system")]
        except UnknownUser:
            notices = []
        for written in self._world.written.values():
            if self._world.is_request(written):
                continue  # see chatd.simulate.request_promises
            if written.author == name and self._world.is_honest(written.to):
                told = sum(f'message "{written.tag} ' in each for each in notices)
                if not written.to.startswith("nobody"):
                    reached = written.to not in self._world.people or not told
                    require(reached, "nothing that arrived is reported as lost", written)
                elif written.acknowledged:
                    told += not told and self._was_event(written)
                    require(told == 1, "the sender is told of what was refused", written, told)

    def _was_event(self, written: Written) -> bool:
        """Whether an event has told the sender, who was there, that a message was refused."""
        places = [(each.data["conversation"], each.data["seq"]) for each in written.request.replies]
        return any(
            isinstance(event, StateChange)
            and event.state == REFUSED
            and (event.conversation, event.seq) in places
            for event in self._world.people[written.author].events
        )

    # Reading

    def _check_counts(self, name: str) -> None:
        """The numbers of unread messages are those of the messages after the read marks."""
        person = self._world.people[name]
        counted = {each.conversation: each.unread for each in person.does(ask.CountUnread()).items}
        for each, page in self._views[name]:
            ident = each.conversation
            unread = [
                message.seq
                for message in page.items
                if message.seq > each.read and message.sender != name and not message.deleted
            ]
            found = each.unread, counted.get(ident, 0)
            require(found == (len(unread),) * 2, "counts are true", name, ident, found, unread)

    def _check_cursors(self, name: str) -> None:
        """A sync from any place of a conversation has what a fresh one has after that place."""
        random, views = self._world.random, self._views[name]
        for each, _ in random.sample(views, min(1, len(views))):
            whole = self.synced(name, each.conversation, 0)
            seqs = [entry.seq for entry in whole]
            require(seqs == sorted(set(seqs)), "a log has one entry for each number", name, seqs)
            after = self._world.random.randint(0, max(seqs, default=0))
            rest = [entry for entry in whole if entry.seq > after]
            found = self.synced(name, each.conversation, after)
            require(found == rest, "a sync continues where it was", name, after, found, rest)

    def synced(self, name: str, conversation: int, after: int) -> list[Any]:
        found: list[Any] = []
        command = ask.SyncLog(conversation, after)
        for _ in range(MAX_PAGES):
            reply = self._world.people[name].does(command)
            found += [each.entry for each in reply.items]
            if not reply.data["more"]:
                return found
            after = found[-1].seq if found else after
            version, term = reply.data["version"], reply.data["term"]
            command = ask.SyncLog(conversation, after, version=version, term=term)
        raise Violation(f"a sync comes to an end: {name}, conversation {conversation}, {after}")

    # Files

    def _check_files(self, name: str) -> None:
        person = self._world.people[name]
        for _, page in self._views[name]:
            for message in page.items:
                file = message.file
                if file is None or not self._is_promised(message):
                    continue
                if file.state != HERE:
                    require(self._world.restored, "files arrive", name, message)
                    continue
                try:
                    data = person.fetches(file.code)
                except ChatError as error:
                    require(self._world.restored, "files are kept", name, message, error)
                else:
                    require(data == content(file.name), "files arrive whole", name, message)

    def _is_promised(self, message: Message) -> bool:
        """Whether the message is of an honest realm, and went to one."""
        written = self._written(message)
        if written is None:
            return self._world.hostile is None
        return all(map(self._world.is_honest, (written.author, written.to)))

    # The realms

    def _check_pending(self) -> None:
        """No post waits for a number for ever."""
        query = sa.select(pending.c.text).where(pending.c.refused.is_(None))
        if self._world.hostile is not None:
            query = query.where(pending.c.realm != self._world.hostile)
        for server in self._world.honest_servers:
            found = server.realm.database.now(lambda db: db.scalars(query).all())
            require(not found, "nothing waits for ever", server.name, found)

    def _check_errors(self) -> None:
        """Requests fail with errors that say what to do."""
        for request in self._world.requests:
            for error in request.errors if self._world.is_honest(request.name) else ():
                require(isinstance(error, ChatError), "errors say what to do", repr(error))

    def _check_bytes(self) -> None:
        """No realm has a text that is deleted everywhere, or was replaced everywhere."""
        current = self._current()
        gone = [
            text.splitlines()[0].encode()
            for text, written in self._world.texts
            if text not in current and self._is_gone(text, written)
        ]
        folders = [
            (server, folder)
            for server in self._world.servers
            if server.name != self._world.hostile
            for folder in server.folders
        ]
        for server in self._world.servers:
            server.close()
        for server, folder in folders:
            for path in sorted(folder.rglob("*")):
                data = path.read_bytes() if path.is_file() else b""
                for text in gone:
                    # m1 pesan-1-akhir: m11 pesan-1 is another text
                    require(
                        text not in data, "what is deleted is gone", text, path.name, server.name
                    )

    def _is_gone(self, text: str, written: Written) -> bool:
        """Whether no realm may have this text of a message. In a group that people leave, the home may have
        refused the change."""
        group = self._world.groups.get(written.to[1:])
        if written.file or (group is not None and not group.steady):
            return False
        if any(each.written is written for each in self._world.forwards):
            return False
        if not all(map(self._world.is_honest, (written.author, written.to))):
            return False
        if self._world.restored:  # then nobody sees it, and somebody has changed it
            return True in written.deleted.asked or len(written.text.asked) > 1
        return False not in written.deleted.values or text not in written.text.values

    def _current(self) -> set[str | None]:
        """All texts that somebody sees."""
        found: set[str | None] = set()
        for views in self._views.values():
            for _, page in views:
                found.update(message.text for message in (*page.items, *page.pending))
        return found


def plain(address: str) -> str:
    """The name of a person, without the realm."""
    return address.partition("@")[0]


def seen(message: Message) -> tuple[Any, ...]:
    """What a reader sees of a message, without the realms in addresses."""
    reactions = sorted((each.emoji, sorted(map(plain, each.people))) for each in message.reactions)
    file = None if message.file is None else (message.file.name, message.file.state)
    return (
        plain(message.sender),
        message.text,
        file,
        message.deleted,
        bool(message.edited) and not message.deleted,
        message.pinned,
        reactions,
    )
