"""Groups from which somebody is kicked, while that person writes to them and reads them at all nodes."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from tests.nodes.clients import Client
from tests.nodes.operations import History, Operation, key_of
from tests.nodes.people import HERE, Place, address_of
from tests.nodes.sessions import Person, Session, Unanswered

BEFORE = (0.5, 2.0)  # seconds that somebody writes before the kick
AFTER = 4.0  # seconds that they try afterwards
READS = ("history", "sync", "members", "inbox", "search")


@dataclass
class Episode:
    """One group, its admin, and who is kicked. `kicked` is when the admin had the answer."""

    place: Place
    victim: str
    conversation: int = 0
    kick: Operation | None = None
    operations: list[Operation] = field(default_factory=list)  # of the victim
    posts: list[Operation] = field(default_factory=list)  # of the admin
    pushed: list[tuple[str, float]] = field(default_factory=list)  # the victim heard that, then

    @property
    def kicked(self) -> float | None:
        return None if self.kick is None or not self.kick.is_ok else self.kick.ended


class Admin(Client):
    """Makes a group, and kicks its only other member from it, again and again."""

    def __init__(
        self, person: Person, victim: Person, history: History, seed: object, pace: float = 1.0
    ) -> None:
        super().__init__(person, history, seed)
        self.victim = victim
        self.episodes: list[Episode] = []
        self._seed = seed
        self._pace = pace

    def act(self) -> None:
        number = len(self.episodes)
        group = f"{self.session.person.name}-{number}"
        place = Place([self.name, address_of(self.victim)], group, HERE)
        made = self.session.settle(
            self.operation("addgroup", place.label, command="addgroup", group=group)
        )
        episode = Episode(place, address_of(self.victim))
        self.episodes.append(episode)
        if not made.is_ok and made.code != "group-exists":
            return
        victim = Victim(self.victim, self.history, f"{self._seed} {number}", episode)
        victim.start()
        try:
            before = self._pace * self.random.uniform(*BEFORE)
            self._post_for(episode, before, victim.joined)
            if victim.joined.is_set():
                self._kick(episode)
                self._post_for(episode, self._pace * AFTER)
        finally:
            victim.stop()
            victim.join()
        self.failure = self.failure or victim.failure

    def _kick(self, episode: Episode) -> None:
        operation = self.operation(
            "kick",
            episode.place.label,
            command="kick",
            group=episode.place.group,
            user=self.victim.name,
        )
        self.session.settle(operation)
        if operation.code == "user-not-member":
            # An earlier request was carried out, and its answer lost.
            assert operation.reply is not None
            operation.reply["status"] = "OK"
        episode.kick = operation

    def _post_for(
        self, episode: Episode, seconds: float, joined: threading.Event | None = None
    ) -> None:
        """Write something several times a second, for that time, which begins once the victim is there."""
        if joined is not None:
            joined.wait(60)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            name = f"{self.name}:{len(self.episodes)}.{len(episode.posts)}"
            request = {"command": "sendgroup", "group": episode.place.group, "text": name}
            operation = self.operation(
                "send", episode.place.label, name, key=key_of(name), **request
            )
            episode.posts.append(self.session.settle(operation))
            time.sleep(0.2)


class Victim(Client):
    """Joins, then writes and reads at random nodes, and listens."""

    def __init__(self, person: Person, history: History, seed: object, episode: Episode) -> None:
        super().__init__(person, history, seed)
        self.episode = episode
        self.joined = threading.Event()
        self._count = 0
        self._ear = Session(person, history, f"{seed} ear")
        self._ear.on_connected = self._listen

    def run(self) -> None:
        group = self.episode.place.group
        join = self.operation("join", self.episode.place.label, command="joingroup", group=group)
        self.session.settle(join)
        if join.is_ok and join.reply is not None:
            self.episode.conversation = join.reply["conversation"]
        if join.is_ok or join.code == "already-member":
            self._hear()
            self.joined.set()
            super().run()
        self._ear.close()

    def act(self) -> None:
        group, label = self.episode.place.group, self.episode.place.label
        if self.random.random() < 0.4:
            self._count += 1
            name = f"{self.name}:{group}.{self._count}"
            request = {"command": "sendgroup", "group": group, "text": name, "key": key_of(name)}
            verb, operation = "send", self.operation("send", label, name, **request)
        else:
            verb = self.random.choice(READS)
            operation = self.operation(verb, label, **self._reading(verb, group))
        self.session.once(operation)
        if verb == "search" and operation.is_ok and not self._found(operation):
            return  # a search succeeds always
        if operation.attempts:
            self.episode.operations.append(operation)
        self._hear()
        if self.random.random() < 0.3:
            self.session.close()

    def _reading(self, verb: str, group: str) -> dict[str, Any]:
        if verb == "sync" and self.episode.conversation:
            return {"command": verb, "conversation": self.episode.conversation, "after": 0}
        if verb == "search":
            return {"command": verb, "text": "admin"}
        if verb == "sync":
            verb = "history"
        return {"command": verb, "group": group}

    def _found(self, operation: Operation) -> bool:
        """Whether a search has found something in the group."""
        found = (operation.reply or {}).get("messages", [])
        return any(each.get("group") == self.episode.place.group for each in found)

    def _listen(self) -> None:
        self._ear.ask(command="listen", on=True, all=True)

    def _hear(self) -> None:
        try:
            self._ear.ask(command="ping")
        except Unanswered:
            return
        talker = self._ear.talker
        assert talker is not None
        now = self.history.now()
        while talker.events:
            event = talker.events.pop(0)
            if event.get("group") == self.episode.place.group and event["event"] == "message":
                self.episode.conversation = event["conversation"]
                self.episode.pushed.append(((event.get("text") or "").split(" ")[0], now))
