"""The files of the browser client, read once at the start and kept in memory."""

from __future__ import annotations

import gzip
import hashlib
import json
import mimetypes
from functools import cache
from pathlib import Path

import msgspec
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request

from chatd.base.errors import UnknownPage
from chatd.web.answers import refuse
from chatd.web.query import rest_of, shown_path

FOLDER = Path(__file__).with_name("static")
PAGE = "index.html"
WORKER = "sw.js"
AT_ROOT = {"": PAGE, WORKER: WORKER, "manifest.webmanifest": "manifest.webmanifest"}
MIN_COMPRESSED = 512  # bytes; a smaller file is not worth it

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".png": "image/png",
}


class StaticFile(msgspec.Struct, frozen=True):
    """A file in memory. `stored` is compressed with gzip if `packed`; `tag` is its ETag."""

    stored: bytes
    packed: bool
    kind: str
    tag: str

    @property
    def data(self) -> bytes:
        """The file's own bytes. Few clients accept no gzip, so these are not kept as well."""
        return gzip.decompress(self.stored) if self.packed else self.stored


def load_file(name: str, data: bytes) -> StaticFile:
    ending = Path(name).suffix
    kind = _TYPES.get(ending) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    small = gzip.compress(data, mtime=0) if len(data) >= MIN_COMPRESSED else data
    packed = len(small) < len(data)
    tag = hashlib.sha256(data).hexdigest()[:24]
    return StaticFile(small if packed else data, packed, kind, f'"{tag}"')


def load_files(folder: Path = FOLDER) -> dict[str, StaticFile]:
    """All files below `folder`, by path. The service worker gets their list, and a version that changes with
    them."""
    files = {}
    worker = None
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name, data = path.relative_to(folder).as_posix(), path.read_bytes()
            whole.update(f"{name} {len(data)}\n".encode() + data)
            files[name] = load_file(name, data)
            worker = data if name == WORKER else worker
    if worker is not None:
        shell = ["/", "/manifest.webmanifest"]
        shell += [f"/static/{name}" for name in files if _is_shell(name)]
        head = f"const VERSION = {json.dumps(whole.hexdigest()[:16])};\nconst SHELL = {json.dumps(shell)};\n"
        files[WORKER] = load_file(WORKER, head.encode() + worker)
    return files


@cache
def shipped_files() -> dict[str, StaticFile]:
    """The files of this version's client. All sites of a process share them."""
    return load_files()


def _is_shell(name: str) -> bool:
    return Path(name).suffix in (".js", ".css", ".svg", ".png") and name != WORKER


class NotFoundResource(Resource):
    """Answers for paths that do not exist."""

    isLeaf = True

    def render(self, request: Request) -> int:
        refuse(request, UnknownPage(path=shown_path(request)))
        return int(NOT_DONE_YET)


class StaticFiles(Resource):
    """Sends the file that the rest of the path names. `names` maps paths to files if they differ."""

    isLeaf = True

    def __init__(self, files: dict[str, StaticFile], names: dict[str, str] | None = None) -> None:
        super().__init__()
        self._files = files
        self._names = names

    def render(self, request: Request) -> bytes | int:
        """Send the file; 304 if the browser has it already."""
        path = rest_of(request)
        file = self._files.get(path if self._names is None else self._names.get(path, "?"))
        if file is None or request.method not in (b"GET", b"HEAD"):
            return NotFoundResource().render(request)
        request.setHeader(b"Content-Type", file.kind.encode())
        # The browser asks before each use whether its copy is current, so no page mixes two versions.
        request.setHeader(b"Cache-Control", b"no-cache")
        request.setHeader(b"Vary", b"Accept-Encoding")
        if request.setETag(file.tag.encode()) is not None:
            return b""
        data = file.data
        if file.packed and "gzip" in (request.getHeader("accept-encoding") or ""):
            request.setHeader(b"Content-Encoding", b"gzip")
            data = file.stored
        if request.method == b"HEAD":
            request.setHeader(b"Content-Length", b"%d" % len(data))
            return b""  # Twisted logs a warning for an answer to HEAD that has a body
        return data
