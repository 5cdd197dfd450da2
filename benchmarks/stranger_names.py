"""``python -m benchmarks.stranger_names``: whether the time of answers tells a stranger who has an account.

The stranger asks about an account and about a name that nobody has, in turns, one question at a time, and
reports the medians of both for each kind of question, in ms.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.stranger import Flood, Local, link, run, serving
from chatd.base.config import Config
from chatd.federation import parcels
from chatd.federation.amp import contents, wire
from chatd.federation.amp.wire import Refused

NAMES = ("ana", "nobody")
Ask = Callable[[str, int], Any]


def questions(stranger: Flood) -> dict[str, Ask]:
    """The kinds of questions: from a name and a number that is never used again."""

    def deliver(make: Callable[[str, int], parcels.Parcel]) -> Ask:
        def ask(name: str, number: int) -> Any:
            batch = contents.encode_batch([(number, parcels.encode(make(name, number)))])
            return stranger.callRemote(wire.DeliverCommand, parcels=batch)

        return ask

    return {
        "request": deliver(lambda name, number: parcels.Direct(f"s{number}", name, 0, "halo")),
        "delete": deliver(
            lambda name, number: parcels.DirectDeletion("budi", name, 0, parcels.Ref(True, number))
        ),
        "invite": deliver(lambda name, number: parcels.Invite(f"g{number}", number, name, "budi")),
        "joined": deliver(lambda name, number: parcels.Joined(f"g{number}", number, name, 0)),
        "profile": lambda name, _: stranger.callRemote(wire.ProfileCommand, user=name, known=""),
        "presence": lambda name, _: stranger.callRemote(wire.PresenceCommand, users=[name]),
    }


async def asked(folder: Path, ports: dict[str, int], count: int) -> dict[str, Any]:
    """The medians by kind and name."""
    Local(ports["json"])  # it registers ana
    stranger = await link(folder, ports["peers"])
    number = 0
    found: dict[str, Any] = {}
    for kind, ask in questions(stranger).items():
        times: dict[str, list[float]] = {name: [] for name in NAMES}
        for turn in range(count):
            for name in NAMES if turn % 2 else reversed(NAMES):
                number += 1
                began = time.perf_counter()
                with suppress(Refused):
                    await ask(name, number)
                times[name].append((time.perf_counter() - began) * 1000)
        found[kind] = {name: round(statistics.median(each), 3) for name, each in times.items()}
    return found


def main() -> int:
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.stranger_names", description=__doc__
    )
    options.add_argument("--count", type=int, default=90, help="questions of each kind and name")
    options.add_argument("--state", type=Path, default=Path("var/bench"), help="on a real disk")
    chosen = options.parse_args()
    chosen.state.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=chosen.state)).resolve()
    try:
        with serving(folder, quota=Config().peers.messages, strangers="requests") as ports:
            found = run(asked(folder / "stranger", ports, chosen.count))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.stdout.write(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
