"""Runs transcripts (tests/support/transcripts.py) with a realm."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping

from chatd import __version__
from chatd.lines.dialect import Dialect
from tests.support.actors import TIMEOUT, Actor, Link, until
from tests.support.common import Realm, SteadyClock, make_operator, sleep
from tests.support.transcripts import Line, Transcript

BLOCK = 1024

# username -> password, display name, country
CAST = {
    "messi": ("surabaya", "Lionel Messi", "Argentina"),
    "henderson": ("surabaya", "Jordan Henderson", "Inggris"),
    "lineker": ("surabaya", "Gary Lineker", "Inggris"),
    "maradona": ("surabaya", "Diego Maradona", "Argentina"),
}

_DIRECTION = re.compile(r"(\d+) s pass|\{(stored[a-z0-9-]*)\} is the newest upload")
_PATTERNS = {
    "operator": "[0-9a-z]{4}(?:-[0-9a-z]{4}){3}",
    "token": r"[A-Za-z0-9_-]{43}",
    "invitation": r"(?:[0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}",
    "code": r"[a-km-np-z2-9]{3}(?::?[a-km-np-z2-9]{3}|[a-km-np-z2-9]{5}:[a-km-np-z2-9]{8})",
    "reference": r"[0-9a-f]{8}",
    "version": r"\d\S*",
    "stored": r"\d{8}T\d{6}\.\d{6}Z-\S+",
}
_PLACEHOLDER = re.compile(rf"\{{((?:{'|'.join(_PATTERNS)})[a-z0-9-]*)\}}")
_REPEATED = re.compile(r"\{(.)\*(\d+)\}")
_ESCAPED = re.compile(rb"\\(x[0-9a-f]{2}|[nrt\\])")
_ESCAPES = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"\\": b"\\"}


# dialect -> the request to log in, and its answer.
LOGINS = {
    "plain": (
        "auth {username} {password}",
        ("status: OK", "message: Welcome, {name}", "tokenId: {token}", ""),
    ),
    "json": (
        '{{"command":"auth","username":"{username}","password":"{password}"}}',
        (
            (
                '{{"status":"OK","id":null,"message":"Welcome, {name}","tokenId":"{token}",'
                '"username":"{username}","name":"{name}"}}'
            ),
        ),
    ),
    "kelompok3": ("auth {username} {password}", ('{{"status":"OK","tokenid":"{token}"}}', "")),
    "bagan": (
        "auth {username} {password}",
        ('{{"status":"OK","tokenId":"{token}","tokenid":"{token}"}}', ""),
    ),
    "urlencoded": (
        "auth username={username}&password={password}",
        ('{{"status":"OK","message":"Login [{username}] telah berhasil","session":"{token}"}}',),
    ),
    "tugas4": ("auth_login {username} {password}", ('{{"status":"OK","tokenid":"{token}"}}', "")),
    "pychat": ("AUTH-LOGIN {username} {password}", ("success you are logged in now",)),
}


class Play:
    """Runs a transcript once. `connect` makes a connection to `realm` in a dialect."""

    def __init__(
        self,
        transcript: Transcript,
        realm: Realm,
        clock: SteadyClock,
        dialects: Mapping[str, Dialect],
        connect: Callable[[str], Awaitable[Link]],
    ) -> None:
        self._transcript = transcript
        self._realm = realm
        self._clock = clock
        self._dialects = dialects
        self._connect = connect
        self._actors: dict[str, Actor] = {}
        self._found: dict[str, str] = {"version": __version__}
        if realm.operator_code is not None:
            self._found["operator"] = realm.operator_code

    async def perform(self) -> None:
        """Run the transcript. Raises AssertionError, with the number of the line, if anything differs."""
        for name in self._transcript.cast:
            password, display_name, country = CAST[name]
            await self._realm.service.accounts.add(name, password, display_name, country)
        if self._transcript.cast:
            await make_operator(self._realm, self._transcript.cast[0])
        line = None
        try:
            for line in self._transcript.lines:
                await self._step(line)
            line = None
            await self._curtain()
        except AssertionError as error:
            where = "the end" if line is None else f"{line.number}: {line.actor}{line.mark}"
            raise AssertionError(f"{self._transcript.path}:{where} {error}") from error
        finally:
            await self.stop()

    async def stop(self) -> None:
        """Break all connections."""
        for actor in self._actors.values():
            if not actor.link.ended:
                await actor.link.lose()
        await until(lambda: self._realm.connections.total == 0)

    async def _step(self, line: Line) -> None:
        if line.mark == ".":
            await self._direct(line.text)
        elif line.mark == ":":
            await self._act(line.actor, line.text)
        else:
            actor = await self._actor(line.actor)
            if line.mark == ">":
                actor.link.send(self._filled(line.text).encode() + b"\r\n")
            elif line.mark == ">|":
                actor.link.send(padded(self._filled(line.text).encode()))
            elif line.mark == ">}":
                actor.link.send(self._filled(line.text).encode())
            elif line.mark == "<}":
                await self._expect_text(actor, line.text)
            elif line.mark == ">>":
                actor.link.send(raw(self._filled(line.text)))
            elif line.mark == "<<":
                await self._expect_bytes(actor, raw(self._filled(line.text)))
            elif line.mark == "<|":
                await self._expect_blocks(actor, line.text)
            else:
                await self._expect_line(actor, line.text)

    async def _direct(self, text: str) -> None:
        match = _DIRECTION.fullmatch(text)
        assert match is not None, f"nobody knows how to do this: {text}"
        if match[1]:
            # By then it is stored which sessions were used. Nobody waits for that otherwise.
            await until(lambda: self._realm.database.queued == 0)
            self._clock.now += int(match[1])
        else:
            uploads = self._realm.state.uploads
            self._found[match[2]] = max(path.name for path in uploads.iterdir() if path.is_file())

    async def _act(self, name: str, text: str) -> None:
        if text == "connects":
            await self._enter(name)
            return
        actor = await self._actor(name)
        if text == "logs in" or text.startswith("logs in as "):
            await self._log_in(actor, self._transcript.dialect(name), text[11:] or name)
        elif text == "sends no more":
            await actor.link.send_no_more()
        elif text == "is cut off":
            await self._until(actor, lambda: actor.link.ended)
            assert actor.listen() == b"", f"there is more: {actor.heard!r}"
            await self._leave(name)
        elif text in ("closes", "is lost"):
            assert actor.listen() == b"", f"there is more: {actor.heard!r}"
            await (actor.link.close() if text == "closes" else actor.link.lose())
            await self._leave(name)
        else:
            raise AssertionError(f"nobody knows how to do this: {text}")

    async def _enter(self, name: str) -> Actor:
        assert name not in self._actors, "is connected already"
        actor = self._actors[name] = Actor(await self._connect(self._transcript.dialect(name)))
        return actor

    async def _actor(self, name: str) -> Actor:
        if name not in self._actors:
            actor = await self._enter(name)
            dialect = self._dialects[self._transcript.dialect(name)]
            await self._expect_bytes(actor, dialect.greeting("realm1", __version__))
        return self._actors[name]

    async def _leave(self, name: str) -> None:
        """The connection has ended. Wait until the realm has noticed that."""
        del self._actors[name]
        await until(lambda: self._realm.connections.total == len(self._actors))

    async def _log_in(self, actor: Actor, dialect: str, username: str) -> None:
        password, display_name, _ = CAST[username]
        token = f"{{token-{username}}}"
        self._found.pop(token[1:-1], None)
        values = {"username": username, "password": password, "name": display_name, "token": token}
        request, answers = LOGINS[dialect]
        actor.link.send(request.format(**values).encode() + b"\r\n")
        for answer in answers:
            await self._expect_line(actor, answer.format(**values))

    # What is expected

    async def _until(self, actor: Actor, done: Callable[[], bool]) -> None:
        waited = 0.0
        while not done():
            if waited > TIMEOUT or (actor.link.ended and not done()):
                found = actor.listen()
                raise AssertionError(f"waited in vain; there is {found[:2000]!r}")
            waited += 0.001
            await sleep(0.001)

    async def _expect_bytes(self, actor: Actor, expected: bytes) -> None:
        await self._until(actor, lambda: len(actor.listen()) >= len(expected))
        found, actor.heard = actor.heard[: len(expected)], actor.heard[len(expected) :]
        assert found == expected, f"expected {expected!r}, found {found!r}"

    async def _expect_text(self, actor: Actor, expected: str) -> None:
        """Placeholders have fixed lengths or end before a quote, so the end of the text is clear."""
        pattern = re.compile(self._pattern(expected))
        await self._until(
            actor, lambda: pattern.match(actor.listen().decode("latin-1")) is not None
        )
        match = pattern.match(actor.heard.decode("latin-1"))
        assert match is not None
        actor.heard = actor.heard[match.end() :]
        self._fill(match)

    async def _expect_line(self, actor: Actor, expected: str) -> None:
        await self._until(actor, lambda: b"\n" in actor.listen())
        line, _, actor.heard = actor.heard.partition(b"\n")
        assert line.endswith(b"\r"), f"a line that does not end in CRLF: {line!r}"
        self._compare(expected, line[:-1].decode(errors="surrogateescape"))

    async def _expect_blocks(self, actor: Actor, expected: str) -> None:
        """Read as the client of urlencoded does."""
        found = block = b""
        while not found or len(block) == BLOCK:
            await self._until(actor, lambda: len(actor.listen()) >= BLOCK)
            block, actor.heard = actor.heard[:BLOCK].rstrip(), actor.heard[BLOCK:]
            found += block
        self._compare(expected, found.decode("ascii"))

    def _compare(self, expected: str, found: str) -> None:
        match = re.fullmatch(self._pattern(expected), found)
        assert match is not None, f"expected {self._filled(expected)!r}, found {found!r}"
        self._fill(match)

    def _fill(self, match: re.Match[str]) -> None:
        """Note the values of the placeholders that are known now."""
        self._found.update(
            (name.replace("_", "-"), value) for name, value in match.groupdict().items()
        )

    def _pattern(self, expected: str) -> str:
        """A regular expression for `expected`, with a group for each placeholder not yet filled."""
        parts = _PLACEHOLDER.split(_repeat(self._filled(expected)))
        pattern = re.escape(parts[0])
        seen = set()
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            kind = next(kind for kind in _PATTERNS if name.startswith(kind))
            group = name.replace("-", "_")
            found = f"(?P={group})" if group in seen else f"(?P<{group}>{_PATTERNS[kind]})"
            pattern += found + re.escape(text)
            seen.add(group)
        return pattern

    def _filled(self, text: str) -> str:
        return _repeat(_PLACEHOLDER.sub(lambda match: self._found.get(match[1], match[0]), text))

    async def _curtain(self) -> None:
        """All actors leave, and nothing else may have arrived."""
        for actor in self._actors.values():
            await actor.link.send_no_more()
        for name, actor in self._actors.items():
            await self._until(actor, lambda actor=actor: actor.link.ended)  # type: ignore[misc]
            assert actor.listen() == b"", f"{name} still has to read {actor.heard!r}"


def _repeat(text: str) -> str:
    return _REPEATED.sub(lambda match: match[1] * int(match[2]), text)


def padded(request: bytes) -> bytes:
    """Whole blocks. As in the client of urlencoded, nothing is added to what fits exactly."""
    return request.ljust(-(-len(request) // BLOCK) * BLOCK)


def raw(text: str) -> bytes:
    """The bytes that `text` describes."""

    def unescape(match: re.Match[bytes]) -> bytes:
        return _ESCAPES.get(match[1]) or bytes.fromhex(match[1][1:].decode())

    return _ESCAPED.sub(unescape, text.encode())
