"""Links of the realms that the suite plays. They block: the suite does one thing at a time."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from chatd.conformance.boxes import Box, BoxBuffer, encode_box
from chatd.conformance.signatures import pack

CHUNK = 1 << 16
NOTHING: Any = []

#: Answers a request of the tested realm with fields, or with a code that refuses it.
Answerer = Callable[[Box], "Box | str"]


class LinkEnded(Exception):
    """The tested realm has closed the link."""


class NoAnswer(Exception):
    """What was expected did not come in time."""


class RefusedThere(Exception):
    """The tested realm has answered a request with an error."""

    def __init__(self, code: str, details: Mapping[str, Any]) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details


def refusal_in(box: Box) -> RefusedThere:
    """The error of an error box. One that is not as the document says has a code that says so."""
    if (code := box.get("_error_code", b"")) != b"REFUSED":
        return RefusedThere(code.decode(errors="replace"), {})
    try:
        said, details = json.loads(box["_error_description"])
    except (KeyError, ValueError, TypeError):
        return RefusedThere("an error that is no JSON array of a code and details", {})
    return RefusedThere(str(said), dict(details))


class Channel:
    """A connection to the tested realm, with TLS unless there is no `context`."""

    def __init__(
        self, address: tuple[str, int], context: ssl.SSLContext | None, patience: float
    ) -> None:
        self.patience = patience
        plain = socket.create_connection(address, patience)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.socket = context.wrap_socket(plain) if context else plain
        except BaseException:
            plain.close()
            raise

    def close(self) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Raises LinkEnded."""
        try:
            self.socket.settimeout(self.patience)
            self.socket.sendall(data)
        except OSError as error:
            raise LinkEnded(f"the link has ended: {error}") from error

    def read(self, seconds: float) -> bytes:
        """What arrives within that time, or nothing. Raises LinkEnded."""
        self.socket.settimeout(max(seconds, 0.001))
        try:
            data = self.socket.recv(CHUNK)
        except TimeoutError:
            return b""
        except OSError as error:
            raise LinkEnded(f"the link has ended: {error}") from error
        if not data:
            raise LinkEnded("the tested realm has closed the link")
        return data


def client_context(certificate: Path | None) -> ssl.SSLContext:
    """TLS 1.3 that shows this certificate, and takes any of the tested realm."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


class PlayedLink:
    """One link. Requests of the tested realm are noted, and answered while the suite waits for something.

    `judge` returns the verdict of a parcel. `holding` keeps the answers to `Deliver` back.
    """

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.requests: list[Box] = []
        self.parcels: list[tuple[int, list[Any]]] = []
        self.answers: dict[str, Answerer] = {
            "Deliver": self._deliver,
            "Presence": lambda _: {"states": pack({})},
            "Tails": lambda _: {"tails": pack({})},
            "Guests": lambda _: {"found": pack([NOTHING, NOTHING])},
            "Profile": lambda _: {"name": b"", "picture": b"", "body": b""},
            "Ping": lambda _: {},
            "Return": lambda _: {},
        }
        self.judge: Callable[[int, list[Any]], list[Any]] = lambda number, parcel: ["", {}, 0]
        self.holding = False
        self._buffer = BoxBuffer()
        self._tag = 0
        self._replies: dict[bytes, Box] = {}
        self._asked: set[bytes] = set()
        self.unexpected: list[Box] = []  # answers to nothing

    # What goes

    def request(self, command: str, **arguments: bytes) -> bytes:
        """Send a request. Returns its tag."""
        self._tag += 1
        tag = b"t%d" % self._tag
        self.send({"_command": command.encode(), "_ask": tag, **arguments})
        return tag

    def send(self, *boxes: Box) -> None:
        self._asked |= {box["_ask"] for box in boxes if "_ask" in box}
        self.channel.send(b"".join(map(encode_box, boxes)))

    def ask(self, command: str, **arguments: bytes) -> Box:
        """Send a request and return its answer. Raises RefusedThere, NoAnswer, LinkEnded."""
        return self.answer(self.request(command, **arguments))

    def answer(self, tag: bytes) -> Box:
        """The answer to a request. Raises RefusedThere, NoAnswer, LinkEnded."""
        self.until(lambda: tag in self._replies, "an answer")
        reply = self._replies.pop(tag)
        if "_error" in reply:
            raise refusal_in(reply)
        return reply

    def deliver(self, parcels: list[Any]) -> list[Any]:
        """The verdicts of parcels, each with its number."""
        return self.verdicts(self.request("Deliver", parcels=pack(parcels)), len(parcels))

    def verdicts(self, tag: bytes, count: int) -> list[Any]:
        """The verdicts of `count` parcels."""
        found = self.answer(tag).get("verdicts")
        if found is None:
            raise RefusedThere("an answer to Deliver without `verdicts`", {})
        verdicts: list[Any] = msgspec.msgpack.decode(found) if found else [["", {}, 0]] * count
        if len(verdicts) != count:
            raise RefusedThere(f"{len(verdicts)} verdicts for {count} parcels", {})
        return verdicts

    # What comes

    def until(self, condition: Callable[[], Any], what: str, patience: float | None = None) -> Any:
        """Read until the condition is true, and return it. Raises NoAnswer, LinkEnded."""
        seconds = self.channel.patience if patience is None else patience
        end = time.monotonic() + seconds
        while not (found := condition()):
            left = end - time.monotonic()
            if left <= 0:
                raise NoAnswer(f"{what} did not come within {seconds:g} s")
            self.pump(min(left, 0.05))
        return found

    def pump(self, seconds: float = 0.0) -> None:
        """Take what arrives within that time. Raises LinkEnded."""
        self._buffer.add(self.channel.read(seconds))
        while (box := self._take()) is not None:
            self._arrived(box)

    def _take(self) -> Box | None:
        try:
            return self._buffer.take()
        except ValueError as error:
            raise LinkEnded(f"the tested realm sent what is no box: {error}") from error

    def ends(self) -> bool:
        """Whether the tested realm closes the link in time."""
        with contextlib.suppress(LinkEnded):
            try:
                self.until(lambda: False, "the end")
            except NoAnswer:
                return False
        return True

    def parcel(self, fits: Callable[[list[Any]], bool], what: str) -> tuple[int, list[Any]]:
        """Wait for a parcel. Returns it with its number. Raises NoAnswer, LinkEnded."""
        found: tuple[int, list[Any]] = self.until(
            lambda: next((each for each in self.parcels if fits(each[1])), None), what
        )
        return found

    def told(self, command: str) -> list[Box]:
        """The requests with that command that have come so far."""
        return [box for box in self.requests if box.get("_command") == command.encode()]

    def _arrived(self, box: Box) -> None:
        for kind in ("_answer", "_error"):
            if kind in box:
                self._replies[box[kind]] = box
                if box[kind] not in self._asked:
                    self.unexpected.append(box)
                return
        self.requests.append(box)
        answerer = self.answers.get(box.get("_command", b"").decode(errors="replace"))
        if "_ask" not in box:
            return
        answer = answerer(box) if answerer else "unknown-group"
        if answer == "":
            return  # it is held back
        if isinstance(answer, str):
            said = json.dumps([answer, {"name": "that"}]).encode()
            error = {"_error_code": b"REFUSED", "_error_description": said}
            self.send({"_error": box["_ask"], **error})
        else:
            self.send({"_answer": box["_ask"], **answer})

    def _deliver(self, box: Box) -> Box | str:
        batch = msgspec.msgpack.decode(box["parcels"])
        self.parcels += [(number, parcel) for number, parcel in batch]
        if self.holding:
            return ""
        verdicts = [self.judge(number, parcel) for number, parcel in batch]
        kept = all(verdict[0] == "" for verdict in verdicts)
        return {"verdicts": b"" if kept else pack(verdicts)}


@contextlib.contextmanager
def closing(link: PlayedLink) -> Iterator[PlayedLink]:
    try:
        yield link
    finally:
        link.channel.close()
