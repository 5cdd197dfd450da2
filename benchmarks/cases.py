"""The cases of `python -m benchmarks`: scenarios with their arguments, one for each row of the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.bigdb import PEER, USER


@dataclass(frozen=True)
class Case:
    """One row of the table: a scenario and its arguments."""

    scenario: str
    title: str
    #: The figure of the report that the row shows.
    figure: str
    arguments: dict[str, int | float | str] = field(default_factory=dict)
    #: The load that the generator makes, if it is not called like the scenario.
    does: str = ""

    @property
    def load(self) -> str:
        return self.does or self.scenario

    @property
    def kinds(self) -> tuple[str, str]:
        """The two servers that are compared."""
        special = {
            "big": ("empty", "big"),
            "federation": ("alone", "linked"),
            "web": ("json", "web"),
        }
        return special.get(self.scenario, ("bare", "chatd"))

    def servers(self, only: str | None) -> list[str]:
        """The servers to run. `only` (bare or chatd) leaves out the other one."""
        if self.scenario in ("big", "federation", "web"):
            return [] if only == "bare" else list(self.kinds)
        found = ["chatd"] if self.scenario == "offline" else list(self.kinds)
        return [kind for kind in found if only in (None, kind)]

    def command_line(self) -> list[str]:
        return [part for key, value in self.arguments.items() for part in (f"--{key}", str(value))]


def cases(seconds: float, quick: bool) -> list[Case]:
    """All cases. `quick` makes them small: it shows that they run, and gives no useful figures."""
    relays = [(100, window, seconds) for window in (1, 16)]
    return [
        *(_timed("relay", "relay", *each) for each in relays),
        *(_timed("federation", "relay to another realm", *each) for each in relays),
        *_offline(quick),
        *(_timed("fanout", "group of 500", 500, window, seconds) for window in (1, 16)),
        *_idle("idle", 500 if quick else 5000),
        *(_timed("web", "relay over WebSocket", *each, "relay") for each in relays),
        *_idle("web", 1000),
        Case("start", "start to listening, ms", "start_ms"),
        *_big(100 if quick else 500),
    ]


def _timed(
    scenario: str, title: str, people: int, window: int, seconds: float, does: str = ""
) -> Case:
    arguments: dict[str, int | float | str] = {"n": people, "window": window, "seconds": seconds}
    return Case(scenario, f"{title}, window {window}", "delivered_per_s", arguments, does)


def _offline(quick: bool) -> Iterator[Case]:
    for each in (50, 120) if quick else (400, 1200):
        arguments: dict[str, int | float | str] = {"n": 100, "window": 4, "each": each}
        yield Case("offline", f"offline, {each} each: stored", "acked_per_s", arguments)
        yield Case("offline", f"offline, {each} each: fetched", "fetched_per_s", arguments)


def _idle(scenario: str, people: int) -> Iterator[Case]:
    for figure, title in (("logins_per_s", "logins"), ("kib_per_connection", "KiB each")):
        does = "" if scenario == "idle" else "idle"
        yield Case(scenario, f"{people} silent: {title}", figure, {"n": people}, does)


def _big(calls: int) -> Iterator[Case]:
    arguments: dict[str, int | float | str] = {"user": USER, "to": PEER, "calls": calls}
    yield Case("big", "start to listening, ms", "start_ms", arguments)
    for figure, title in (
        ("inbox", "inbox, nothing new"),
        ("news", "inbox, one new"),
        ("history", "history of 50"),
        ("send", "send"),
    ):
        yield Case("big", f"{title}, µs", f"{figure}_median_us", arguments)
