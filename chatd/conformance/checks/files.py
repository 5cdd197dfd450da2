"""Files that people of the suite send."""

from __future__ import annotations

import hashlib
import os

from chatd.conformance.bench import Bench, refused, require
from chatd.conformance.boxes import Box
from chatd.conformance.links import PlayedLink
from chatd.conformance.suite import check

SECTION = "Files"
SIZE = 80_000  # bytes: several pieces
PIECE = 32_768
NEEDS = ("user", "files")


class ServedFile:
    """A file that is sent. `named` are the bytes that its note promises, `given` those that are given, or the
    code with which they are refused."""

    def __init__(self, bench: Bench, link: PlayedLink, named: bytes, given: bytes | str) -> None:
        self.given = given
        self.asked: list[tuple[int, int]] = []
        self.names: set[tuple[str, int]] = set()
        link.answers["File"] = self._piece
        digest = hashlib.sha256(named).hexdigest()
        note = [f"{bench.text()}.bin", len(named), digest, "code", "application/octet-stream"]
        self.number = bench.kept(link, bench.direct(None, note))

    def _piece(self, box: Box) -> Box | str:
        offset, size = int(box["offset"]), int(box["size"])
        self.asked.append((offset, size))
        self.names.add((box["realm"].decode(), int(box["number"])))
        if isinstance(self.given, str):
            return self.given
        return {"data": self.given[offset : offset + min(size, PIECE)]}

    @property
    def is_fetched(self) -> bool:
        """Whether every byte was asked for."""
        place = 0
        for offset, size in sorted(self.asked):
            if offset > place:
                return False
            place = max(place, offset + min(size, PIECE))
        return place >= len(self.given)


@check(SECTION, "a file that the realm has not sent is refused with unknown-file", "files")
def unknown_file(bench: Bench) -> None:
    with bench.one.linked() as link, refused("unknown-file"):
        realm = bench.tested.key.encode()
        link.ask("File", realm=realm, number=b"12345", offset=b"0", size=b"10")


@check(SECTION, "a file that was taken is fetched, by its entry's name", *NEEDS)
def fetched(bench: Bench) -> None:
    with bench.one.linked() as link:
        data = os.urandom(SIZE)
        file = ServedFile(bench, link, data, data)
        link.until(lambda: file.is_fetched, "the request for the whole file")
        names = {(bench.one.key, file.number)}
        require(file.names == names, f"the file is called {file.names}")


@check(SECTION, "messages do not wait for files", *NEEDS)
def not_waiting(bench: Bench) -> None:
    with bench.one.linked() as link:
        ServedFile(bench, link, os.urandom(SIZE), "file-arriving")
        bench.kept(link, bench.direct(bench.text()))


@check(SECTION, "a file with other bytes than it promises is reported as lost", *NEEDS)
def damaged(bench: Bench) -> None:
    with bench.one.linked() as link:
        file = ServedFile(bench, link, os.urandom(SIZE), os.urandom(SIZE))
        link.parcel(lambda each: each[:2] == ["file-lost", file.number], "`file-lost`")


@check(SECTION, "a file that its realm does not have is reported as lost", *NEEDS)
def missing(bench: Bench) -> None:
    with bench.one.linked() as link:
        file = ServedFile(bench, link, os.urandom(SIZE), "file-missing")
        link.parcel(lambda each: each[:2] == ["file-lost", file.number], "`file-lost`")
