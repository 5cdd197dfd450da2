"""Who writes to whom: each person has contacts, here and in other realms, which Zipf's law chooses."""

from __future__ import annotations

import itertools
from functools import lru_cache
from random import Random

from chatd.simulate.scale.settings import ScaleSettings

CONTACTS = 5  # of each person in other realms
DOMAIN = "example.net"


def name_of(realm: int) -> str:
    return f"kota{realm}.{DOMAIN}"


def user_of(number: int) -> str:
    return f"orang{number}"


class Population:
    """Realms are numbered by how often they are chosen: with an exponent of 1, `n` has the weight
    1 / (n + 1)."""

    def __init__(self, settings: ScaleSettings) -> None:
        self._settings = settings
        weights = (1 / (rank + 1) ** settings.exponent for rank in range(settings.realms))
        self._weights = list(itertools.accumulate(weights))
        self.contacts = lru_cache(None)(self._contacts)

    def _contacts(self, realm: int) -> list[int]:
        """The realms of the contacts of all people of a realm, `CONTACTS` for each person."""
        settings = self._settings
        random = Random(f"{settings.seed} contacts {realm}")  # noqa: S311 - not for secrets
        count = CONTACTS * settings.users
        found = random.choices(range(settings.realms), cum_weights=self._weights, k=count)
        return [each if each != realm else (each + 1) % settings.realms for each in found]

    def known(self) -> list[set[int]]:
        """For each realm the others that it knows: those of its people's contacts, and those whose people
        have contacts in it."""
        known: list[set[int]] = [set() for _ in range(self._settings.realms)]
        for realm, others in enumerate(known):
            for other in set(self.contacts(realm)):
                others.add(other)
                known[other].add(realm)
        return known

    def contact(self, random: Random, realm: int, user: int) -> int:
        """One of a person's contacts in other realms. Returns the number of the realm."""
        return self.contacts(realm)[CONTACTS * user + random.randrange(CONTACTS)]
