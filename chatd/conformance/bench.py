"""What a check has at hand: the realms that the suite plays, and what the tester has prepared."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from chatd.conformance.control import Control
from chatd.conformance.links import PlayedLink, RefusedThere
from chatd.conformance.names import key_of
from chatd.conformance.realms import HelloAnswer, PlayedRealm, RealmDoor, read_hello
from chatd.conformance.refusals import wrong_details
from chatd.conformance.signatures import now

CONTROL_TIME = 60.0  # seconds that the control program has for a request
SENDER = "tester"  # who writes, in each of the realms of the suite


class CheckFailed(Exception):
    """The tested realm does not do what the document demands."""


class CheckSkipped(Exception):
    """The tester has not prepared what the check needs."""


def require(condition: object, what: str) -> None:
    """Raises CheckFailed, with what is wrong, unless the condition is true."""
    if not condition:
        raise CheckFailed(what)


@contextlib.contextmanager
def refused(*codes: str) -> Iterator[None]:
    """What is done inside has to be refused with one of these codes. Raises CheckFailed."""
    expected = " or ".join(codes)
    try:
        yield
    except RefusedThere as error:
        require(error.code in codes, f"it is refused with {error.code} instead of {expected}")
        missing = wrong_details(error.code, error.details)
        require(not missing, missing)
    else:
        raise CheckFailed(f"it is not refused with {expected}")


def expect_refusal(verdict: Sequence[Any], *codes: str) -> None:
    """Raises CheckFailed unless the verdict has one of these codes, and its details."""
    code, details, *_ = verdict
    expected = " or ".join(codes)
    require(code in codes, f"the verdict is {code or 'that it is kept'} instead of {expected}")
    missing = wrong_details(code, details)
    require(not missing, missing)


class Bench:
    """`one` and `two` are realms whose people may write to `user`; `stranger` is one whose people have to ask
    first. `group` is the name of a public group of the tested realm, which `user` administers."""

    def __init__(self, place: RealmDoor, folder: Path, prefix: str) -> None:
        self.place = place
        self.folder = folder
        self.one = PlayedRealm(place, f"{prefix}-one.example", folder)
        self.two = PlayedRealm(place, f"{prefix}-two.example", folder)
        self.odd = PlayedRealm(place, f"{prefix}_Three", folder)
        self.stranger = PlayedRealm(place, f"{prefix}-stranger.example", folder)
        self.user = ""
        self.group = ""
        self.strangers = False
        self.control: Control | None = None
        self.said: HelloAnswer | None = None

    @property
    def tested(self) -> HelloAnswer:
        """What the tested realm says in Hello. Raises OSError, LinkEnded, ValueError."""
        if self.said is None:
            with self.one.dialled() as link:
                link.holding = True  # what it sends now is for the next link
                self.said = read_hello(link.ask("Hello", **self.one.hello()))
        return self.said

    def lacks(self, need: str) -> str:
        """Why what a check needs is not there, or an empty text."""
        prepared: Mapping[str, object] = {
            "user": self.user,
            "group": self.group,
            "control": self.control,
            "strangers": self.strangers,
        }
        if need in prepared:
            return "" if prepared[need] else f"there is no --{need}"
        return "" if need in self.tested.capabilities else f"the realm does not announce {need}"

    def text(self, words: str = "conformance") -> str:
        """A text that no other check sends."""
        return f"{words} {secrets.token_hex(4)}"

    def direct(self, text: str | None, *more: Any, sender: str = SENDER, to: str = "") -> list[Any]:
        """The parcel `direct`. `more` are the fields after `text`."""
        return ["direct", sender, to or self.user, now(), text, *(more or (None,))]

    def item(self, parcel: list[Any], realm: PlayedRealm | None = None) -> list[Any]:
        """A parcel with the next number."""
        return [(realm or self.one).next_number(), parcel]

    def verdict(self, link: PlayedLink, parcel: list[Any]) -> list[Any]:
        """What becomes of a parcel of `one`."""
        (verdict,) = link.deliver([self.item(parcel)])
        return list(verdict)

    def kept(self, link: PlayedLink, parcel: list[Any]) -> int:
        """Deliver a parcel that has to be kept. Returns its number."""
        number, _ = item = self.item(parcel)
        (verdict,) = link.deliver([item])
        require(verdict[0] == "", f"a parcel {parcel[0]} is refused with {verdict[0]}")
        return int(number)

    def turned_down(self, link: PlayedLink, parcel: list[Any], *codes: str) -> None:
        """Deliver a parcel that has to be refused with one of these codes."""
        expect_refusal(self.verdict(link, parcel), *codes)

    def act(self, link: PlayedLink | None, do: str, **details: Any) -> dict[str, Any]:
        """Let somebody in the tested realm act, as `attempt` does. Raises CheckFailed if it fails."""
        said = self.attempt(link, do, **details)
        require(said.get("ok"), f"the control program could not {do}: {said.get('code')}")
        return said

    def attempt(self, link: PlayedLink | None, do: str, **details: Any) -> dict[str, Any]:
        """Let somebody in the tested realm act, while the link, if any, is read. Returns the answer of the
        control program. Raises CheckSkipped if it can't."""
        if self.control is None:
            raise CheckSkipped("there is no --control")
        answer = self.control.start(do, **{"user": self.user, **details})
        if link is not None:
            link.until(answer.done, f"the answer of the control program to {do}", CONTROL_TIME)
        said = answer.result(CONTROL_TIME)
        if said.get("code") == "unsupported":
            raise CheckSkipped(f"the control program does not support {do}")
        return said

    def address(self, realm: PlayedRealm | None = None) -> str:
        """The address of the sender, as people in the tested realm write it."""
        return f"{SENDER}@{(realm or self.one).name}"

    def texts(self, link: PlayedLink, place: str = "") -> list[str | None]:
        """What the user reads in a conversation: the texts, None for deleted ones."""
        found: list[str | None] = self.act(link, "history", place=place or self.address())["texts"]
        return found

    @property
    def group_key(self) -> str:
        return key_of(self.group)
