"""One simulation, from its seed to its result."""

from __future__ import annotations

import contextlib
import gc
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import msgspec

from chatd.simulate.disks import Disks
from chatd.simulate.faults import Faults
from chatd.simulate.gatherings import Gatherings
from chatd.simulate.group_promises import GroupPromises
from chatd.simulate.mishaps import Mishaps
from chatd.simulate.node_faults import NodeFaults
from chatd.simulate.node_promises import NodePromises
from chatd.simulate.promises import Promises
from chatd.simulate.records import Violation
from chatd.simulate.relocations import Relocations
from chatd.simulate.servers import Stuck
from chatd.simulate.strangers import Strangers, are_wanted
from chatd.simulate.talk import Talk
from chatd.simulate.vfs import NotShared, SimulatedVfs
from chatd.simulate.wanderings import Wanderings
from chatd.simulate.world import World

MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of every Linux
STEPS = (6, 24)
OFTEN = 0.5  # of the steps of realms with several nodes, something goes wrong besides
LIMIT = 30.0  # seconds of CPU for one run, so that one that never ends is noticed


class SimulationOptions(msgspec.Struct, frozen=True):
    """`faults`: which kinds may happen; None: chosen by chance. `realms`: how many; None: likewise.
    `moves`: whether groups move to other realms; `strangers`: whether people are strangers to others; None:
    likewise. `nodes`: of the first realm; others have up to that."""

    faults: tuple[str, ...] | None = None
    realms: int | None = None
    synchronous: str = "FULL"
    moves: bool | None = None
    strangers: bool | None = None
    nodes: int = 1


class Result(msgspec.Struct):
    """The outcome of one seed. `violation` says which promise was broken; None: none was."""

    seed: int
    digest: str
    lines: int
    counts: Counter[str]
    seconds: float  # of CPU
    violation: str | None = None
    details: str = ""


def simulate(
    seed: int, options: SimulationOptions, write: Callable[[str], object] | None = None
) -> Result:
    """Run one seed. `write` gets the lines of its trace."""
    began = time.process_time()
    signal.signal(signal.SIGVTALRM, _too_slow)
    signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT)
    gc.disable()  # a run leaves few cycles, and ends before they matter
    with Mishaps() as mishaps:
        result = _simulate(seed, options, write)
        gc.collect()
    gc.enable()
    signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    result.seconds = time.process_time() - began
    if mishaps.found and result.violation is None:
        result.violation = f"unexpected: {mishaps.found[0]}"
        result.details = "\n".join((*mishaps.found, *mishaps.details))
    return result


def _simulate(
    seed: int, options: SimulationOptions, write: Callable[[str], object] | None
) -> Result:
    with _folder() as folder:
        disks = None if (vfs := _vfs()) is None else Disks(vfs, options.synchronous)
        strange = are_wanted(seed, options.strangers)
        world = World(
            seed, folder, options.realms, write, disks, strange=strange, nodes=options.nodes
        )
        violation, details = None, ""
        try:
            _run(world, seed, options)
        except (Violation, Stuck) as error:
            violation, details = f"{type(error).__name__}: {error}", traceback.format_exc()
        except Exception as error:
            violation, details = f"crash: {error!r}", traceback.format_exc()
        finally:
            with contextlib.suppress(Exception):
                world.network.close()
            if disks is not None:
                disks.close()
        trace = world.trace
        return Result(seed, trace.digest, trace.count, world.counts, 0.0, violation, details)


def _too_slow(_number: int, _frame: object) -> None:
    raise Stuck(f"it does not end within {LIMIT:.0f} s of CPU")


def _run(world: World, seed: int, options: SimulationOptions) -> None:
    act = _actor(world, seed, options)
    random, network = world.random, world.network
    faults = NodeFaults(world, options.faults) if world.shared else Faults(world, options.faults)
    node_promises = NodePromises(world)
    if world.shared:
        network.after_steps.append(node_promises.watch)
    network.mix()
    for _ in range(random.randint(*STEPS)):
        for _ in range(random.randint(1, 4)):
            act()
        match random.randrange(6):
            case 0 | 1:
                network.settle()
            case 2 | 3:
                network.advance(random.choice((0.05, 0.3, 1.0, 3.0, 8.0, 40.0)))
            case 4:
                for _ in range(random.randint(1, 60)):
                    network.step()
            case _:
                faults.act()
        if world.shared and random.random() < OFTEN:
            faults.act()
    faults.end()
    promises = Promises(world)
    promises.settle()
    node_promises.check()
    GroupPromises(world).check()
    promises.check()


def _actor(world: World, seed: int, options: SimulationOptions) -> Callable[[], None]:
    """A function that lets somebody do one thing. What is rare in all runs comes first."""
    talk, gatherings = Talk(world), Gatherings(world)
    relocations, strangers = Relocations(world, seed, options.moves), Strangers(world)
    wanderings, random = Wanderings(world), world.random

    def act() -> None:
        for each in (relocations, strangers, wanderings):
            if each.share and random.random() < each.share:
                each.act()
                return
        (gatherings if random.random() < gatherings.share else talk).act()

    return act


@cache
def _vfs() -> SimulatedVfs | None:
    """The VFS of this process; None if Python's SQLite can't be given one."""
    try:
        return SimulatedVfs()
    except NotShared:
        return None


def can_lose_power() -> bool:
    """Whether simulated disks can fail, and lose what was not synced."""
    return _vfs() is not None


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    parent = MEMORY if MEMORY.is_dir() else None
    folder = Path(tempfile.mkdtemp(prefix="chatd-simulate-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
