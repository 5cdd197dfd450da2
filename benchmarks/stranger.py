"""``python -m benchmarks.stranger``: an unknown realm sends texts as fast as the realm reads them.

Meanwhile a person here writes to another one, message by message. Printed are the bytes that the stranger
had stored, beside its quota, and how long the local person waited for each OK. The stranger is a bare AMP
client with invented senders, so nothing but the realm under test slows it down.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.protocols import amp
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from benchmarks.runs import daemon, free_port
from chatd.base.config import Config, PeersConfig
from chatd.federation import capabilities, parcels
from chatd.federation.amp import contents, wire
from chatd.federation.amp.identity_files import load_identity
from chatd.federation.amp.tls import TLSOptions

REALM, STRANGER = "bench.localhost", "stranger.localhost"
TEXT = "x" * 8000  # bytes; just below the limit of a message
WINDOW = 16  # batches under way
PER_BATCH = 7  # as many as fit into one
CONFIG = """\
[realm]
name = {realm}
state = state

[listen]
json = tcp:{json}:interface=127.0.0.1
peers = tcp:{peers}:interface=127.0.0.1

[peers]
strangers = {strangers}
messages = {quota}

[accounts]
argon2 = 8K,1,1
"""

reactor: Any = _reactor


class Local(threading.Thread):
    """A local account that waits for each OK before the next message. `waits` are in ms."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.waits: list[float] = []
        self.over = False
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._stream = self._socket.makefile("rwb")
        for name in ("ana", "budi"):
            self._ask(command="register", username=name, password="correct-horse")
            if name == "ana":
                self._ask(command="logout")

    def _ask(self, **request: object) -> Any:
        self._stream.write(json.dumps(request).encode() + b"\n")
        self._stream.flush()
        reply = json.loads(self._stream.readline())
        if reply["status"] != "OK":
            raise RuntimeError(f"{request['command']}: {reply}")
        return reply

    def run(self) -> None:
        while not self.over:
            began = time.monotonic()
            self._ask(command="send", to="ana", text="halo")
            self.waits.append((time.monotonic() - began) * 1000)
            time.sleep(0.01)
        self._socket.close()


@implementer(IHandshakeListener)
class Flood(amp.AMP):
    """Delivers batches without end. `sent` and `kept` count messages, `codes` why the others were refused."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = 0
        self.kept = 0
        self.codes: dict[str, int] = {}
        self.linked: Deferred[None] = Deferred()
        self.lost: Any = None

    def handshakeCompleted(self) -> None:  # noqa: N802 - IHandshakeListener
        Deferred.fromCoroutine(self._greet()).addCallbacks(
            lambda _: self.linked.callback(None), self.linked.errback
        )

    async def _greet(self) -> None:
        own = wire.Introduction(STRANGER, wire.VERSION, list(capabilities.ALL), b"i" * 16, b"\x90")
        await self.callRemote(
            wire.HelloCommand,
            realm=own.realm,
            version=own.version,
            capabilities=own.capabilities,
            instance=own.instance,
            keys=own.keys,
        )

    def start(self) -> None:
        for _ in range(WINDOW):
            self._deliver()

    def _deliver(self) -> None:
        batch = []
        for _ in range(PER_BATCH):
            self.sent += 1
            direct = parcels.Direct(f"s{self.sent}", "budi", 0, TEXT)
            batch.append((self.sent, parcels.encode(direct)))
        answer: Any = self.callRemote(wire.DeliverCommand, parcels=contents.encode_batch(batch))
        answer.addCallbacks(self._answered, lambda _failure: None)

    def _answered(self, answer: dict[str, bytes]) -> None:
        verdicts = (
            contents.decode_verdicts(answer["verdicts"], PER_BATCH) if answer["verdicts"] else []
        )
        refused = [each.code for each in verdicts or () if each.code]
        self.kept += PER_BATCH - len(refused)
        for code in refused:
            self.codes[code] = self.codes.get(code, 0) + 1
        self._deliver()

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = reason
        super().connectionLost(reason)


def link(folder: Path, port: int) -> Deferred[Flood]:
    """The stranger, linked with the realm at that port."""
    folder.mkdir()
    identity = load_identity(STRANGER, folder, PeersConfig(), datetime.now(UTC))
    flood = Flood()
    wrapped = TLSMemoryBIOFactory(TLSOptions(identity), True, Factory.forProtocol(lambda: flood))
    connected = TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(wrapped)
    return connected.addCallback(lambda _: flood.linked).addCallback(lambda _: flood)


async def flooded(folder: Path, ports: dict[str, int], seconds: float) -> dict[str, Any]:
    """Let the stranger send for that time, and report what the local account and the stranger got."""
    local = Local(ports["json"])
    flood = await link(folder, ports["peers"])
    local.start()
    flood.start()
    over: Deferred[None] = Deferred()
    reactor.callLater(seconds, over.callback, None)
    await over
    local.over = True
    waits = sorted(local.waits)
    return {
        "local_sends": len(waits),
        "local_p50_ms": round(waits[len(waits) // 2], 1),
        "local_p99_ms": round(waits[int(len(waits) * 0.99)], 1),
        "local_max_ms": round(waits[-1], 1),
        "kept": flood.kept,
        "refused": flood.codes,
        "link_lost": str(flood.lost or ""),
    }


@contextmanager
def serving(folder: Path, **settings: object) -> Iterator[dict[str, int]]:
    """A fresh realm, with these settings of CONFIG. Yields its ports."""
    ports = {"json": free_port(), "peers": free_port()}
    config = CONFIG.format(realm=REALM, **settings, **ports)
    with daemon(folder, config, ports["json"]):
        yield ports


def run(asking: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
    """Run that in the reactor. Returns its result."""
    found: dict[str, Any] = {}
    failures: list[Any] = []
    running = Deferred.fromCoroutine(asking)
    running.addCallback(found.update).addErrback(failures.append).addBoth(lambda _: reactor.stop())
    reactor.run()
    for failure in failures:
        failure.raiseException()
    return found


def measure(folder: Path, seconds: float, quota: int, strangers: str) -> dict[str, Any]:
    """Run once with a fresh realm."""
    found: dict[str, Any] = {"quota": quota}
    with serving(folder, quota=quota, strangers=strangers) as ports:
        found |= run(flooded(folder / "stranger", ports, seconds))
    with closing(sqlite3.connect(folder / "state" / "chatd.db")) as connection:
        query = "SELECT coalesce(sum(length(text)), 0) FROM messages WHERE origin_realm IS NOT NULL"
        (found["stored_bytes"],) = connection.execute(query).fetchone()
    return found


def main() -> int:
    options = argparse.ArgumentParser(prog="python -m benchmarks.stranger", description=__doc__)
    options.add_argument("--seconds", type=float, default=10.0)
    options.add_argument("--state", type=Path, default=Path("var/bench"), help="on a real disk")
    options.add_argument(
        "--quota", type=int, default=Config().peers.messages, help="[peers] messages, in bytes"
    )
    options.add_argument(
        "--strangers", choices=("welcome", "requests"), default="welcome", help="[peers] strangers"
    )
    chosen = options.parse_args()
    chosen.state.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=chosen.state)).resolve()
    try:
        found = measure(folder, chosen.seconds, chosen.quota, chosen.strangers)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0 if found["stored_bytes"] <= found["quota"] and found["local_p99_ms"] < 100 else 1


if __name__ == "__main__":
    sys.exit(main())
