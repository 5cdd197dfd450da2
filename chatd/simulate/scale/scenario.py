"""What happens to the realms of a scale simulation: they die, restart one by one and many at once, and one is
hostile."""

from __future__ import annotations

from random import Random

from chatd.simulate.scale.hostile import Attack
from chatd.simulate.scale.realms import Site
from chatd.simulate.scale.world import START_SPREAD, ScaleWorld

DOWN = (5.0, 60.0)  # seconds for which a realm that restarts is down
DOWN_AT_ONCE = 30.0  # seconds for which those are that restart at once
HOSTILE = 3  # the number of the hostile realm: one that many know
ATTACK_AT, RESTART_AT, RETURN_AT = 0.25, 0.5, 0.7  # parts of the time
DRAIN = 1200.0  # seconds after the last message, until links rest
DRAIN_KEPT = 300.0  # with links that are kept, until what waits is delivered


class Scenario:
    """Plays all of it, in a world that is built."""

    def __init__(self, world: ScaleWorld) -> None:
        self._world = world
        self._random = Random(f"{world.settings.seed} scenario")  # noqa: S311 - not for secrets
        settings = world.settings
        numbers = range(settings.realms)
        count = round(settings.dead * settings.realms)
        candidates = [each for each in numbers if each != HOSTILE and each > 0]
        world.dead = set(self._random.sample(candidates, count))
        for number in world.dead:
            world.sites[number].refuses = self._random.random() < 0.5
        self.returning: Site | None = world.sites[min(world.dead)] if world.dead else None
        self.returned_at = 0.0
        self.restarted: list[Site] = []  # those at once
        self.restarted_at = 0.0  # when they were up again
        self.restarts = 0
        self.attack = Attack(world, world.sites[HOSTILE]) if settings.hostile else None
        self.messages_from = self.messages_until = 0.0

    def begin(self) -> None:
        """Start the realms."""
        self._world.start_all()
        self._world.time.run(self._world.time.now + START_SPREAD)

    def run(self) -> None:
        """Let people write for the time of the settings, and then wait until nothing is under way."""
        world, seconds = self._world, self._world.settings.seconds
        self.messages_from = world.time.now
        world.chat()
        world.sample()
        later = world.clock.callLater
        if self.attack is not None:
            later(ATTACK_AT * seconds, self.attack.begin)
        later(RESTART_AT * seconds, self._restart_many)
        if self.returning is not None:
            later(RETURN_AT * seconds, self._return, self.returning)
        self._plan_restart()
        world.time.run(world.time.now + seconds)
        world.stop_chat()
        self.messages_until = world.time.now
        world.time.run(world.time.now + (DRAIN_KEPT if world.settings.kept else DRAIN))

    def _plan_restart(self) -> None:
        settings = self._world.settings
        rate = settings.realms * settings.restarting / 3600
        if rate:
            self._world.clock.callLater(self._random.expovariate(rate), self._restart_one)

    def _others(self) -> list[Site]:
        """The realms that run, without the hostile one."""
        hostile = self._world.settings.hostile
        return [each for each in self._world.running() if not hostile or each.number != HOSTILE]

    def _restart_one(self) -> None:
        if self.messages_until:
            return
        self._plan_restart()
        self._restart(self._random.choice(self._others()), self._random.uniform(*DOWN))

    def _restart(self, site: Site, down: float) -> None:
        """End a realm, as by a crash or in order, and start it `down` seconds later."""
        self.restarts += 1
        start = self._world.clock.callLater
        if self._random.random() < 0.5:
            site.kill()
            start(down, self._world.start, site)
        else:
            site.stop().addCallback(lambda _: start(down, self._world.start, site))

    def _restart_many(self) -> None:
        running = self._others()
        count = round(self._world.settings.at_once * len(running))
        self.restarted = self._random.sample(running, count)
        self.restarted_at = self._world.time.now + DOWN_AT_ONCE
        for site in self.restarted:
            site.kill()
            self._world.clock.callLater(DOWN_AT_ONCE, self._world.start, site)

    def _return(self, site: Site) -> None:
        self._world.dead.discard(site.number)
        self._world.start(site)
        self.returned_at = self._world.time.now
