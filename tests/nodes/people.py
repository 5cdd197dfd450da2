"""Who takes part in a run, and the conversations that they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.nodes.sessions import Person

HERE = "alpha"  # the realm of several nodes
THERE = "beta"  # its peer


@dataclass(frozen=True)
class Place:
    """A conversation: a group with its home, or a direct between two people (`group` is empty then)."""

    members: Sequence[str]  # addresses
    group: str = ""
    home: str = HERE

    @property
    def label(self) -> str:
        return f"{self.group}@{self.home}" if self.group else "~".join(self.members)

    @property
    def realms(self) -> list[str]:
        """The realms that have a log of it, the one whose log decides first."""
        found = {address.partition("@")[2] for address in self.members}
        return sorted(found, key=lambda realm: (realm != self.home, realm))

    def fields(self, person: Person) -> dict[str, Any]:
        """What names it in the requests of a person."""
        if self.group:
            return {"group": self.group if person.realm == self.home else self.label}
        return {"user": self._other(person)}

    def sending(self, person: Person) -> dict[str, Any]:
        """The request of a person who sends something, without the text."""
        if self.group:
            return {"command": "sendgroup", **self.fields(person)}
        return {"command": "send", "to": self._other(person)}

    def _other(self, person: Person) -> str:
        [other] = [each for each in self.members if each != address_of(person)]
        name, _, realm = other.partition("@")
        return name if realm == person.realm else other


def address_of(person: Person) -> str:
    return f"{person.name}@{person.realm}"


@dataclass(frozen=True)
class Size:
    """How many people take part."""

    writers: int = 4
    listeners: int = 3
    peers: int = 2  # writers of the other realm
    episodes: int = 1  # groups at a time from which somebody is kicked

    @property
    def here(self) -> list[str]:
        """The names of the accounts of the realm."""
        return [
            "witness",
            "guest",  # joins and leaves
            "sender",  # of files
            *(f"writer{number}" for number in range(self.writers)),
            *(f"listener{number}" for number in range(self.listeners)),
            *(f"admin{number}" for number in range(self.episodes)),
            *(f"victim{number}" for number in range(self.episodes)),
        ]

    @property
    def there(self) -> list[str]:
        """The names of the accounts of the peer."""
        return ["witness", "listener0", *(f"writer{number}" for number in range(self.peers))]


def places(size: Size) -> list[Place]:
    """The conversations that last for the whole run."""
    writers = [f"writer{number}@{HERE}" for number in range(size.writers)]
    listeners = [f"listener{number}@{HERE}" for number in range(size.listeners)]
    peers = [f"writer{number}@{THERE}" for number in range(size.peers)]
    local = [f"witness@{HERE}", f"sender@{HERE}", *writers, *listeners]
    remote = [f"witness@{THERE}", f"listener0@{THERE}", *peers]
    found = [
        Place(local, "office"),
        Place([*local, *remote], "family"),
        Place([*local, *remote], "remote", THERE),
        Place([writers[0], writers[1]]),
    ]
    for number, writer in enumerate(writers):
        found.append(Place([writer, listeners[number % len(listeners)]]))
    for number, peer in enumerate(peers):
        found.append(Place([writers[number % len(writers)], f"listener0@{THERE}"]))
        found.append(Place([peer, listeners[number % len(listeners)]]))
    return found
