"""The options of `twistd chatd`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from chatd.app.console import finish, stop
from chatd.app.daemon import ChatDaemon, Surroundings
from chatd.app.demo_realms import FOLDER, SHIFT, demo_config
from chatd.app.keys import fingerprint_of, renew_key
from chatd.app.logs import LogOutput
from chatd.app.realm import StartOptions
from chatd.app.service_manager import supervision_of
from chatd.app.state import StartError
from chatd.base.clocks import IReactor, make_monotonic
from chatd.base.config import Config
from chatd.base.config_file import ConfigError, find_config, load_config
from chatd.federation.amp.identity import IdentityError

_DEMO_HELP = (
    f"It listens on loopback only, its state is in {FOLDER}/realm1; "
    "it uses only [accounts], [limits] and [log] of --config."
)
_SECOND_HELP = (
    f"Its ports are {SHIFT} higher, its state is in {FOLDER}/realm2. "
    "To run both, linked: python -m chatd.app.demo."
)
_KEY_HELP = (
    "The old key signs the new certificate, so that other realms accept it. Stop the daemon first."
)
_LOSS_HELP = "It continues with what can be read, else with an empty database. No file is removed."

log = Logger()


class Options(usage.Options):
    """Command line options of `twistd chatd`."""

    synopsis = "[--config FILE] [--accept-loss] [--demo [--second]] [--fingerprint | --new-key]"
    longdesc = "A federated chat daemon. Reads ./etc/chatd.ini, else /etc/chatd.ini, else defaults."
    optParameters = [["config", "c", None, "Read this configuration file."]]
    optFlags = [
        ["demo", None, f"Run realm1, a demo with three accounts. {_DEMO_HELP}"],
        ["second", None, f"With --demo: run realm2 instead. {_SECOND_HELP}"],
        ["accept-loss", None, f"Start although the database has lost data. {_LOSS_HELP}"],
        ["fingerprint", None, "Print the fingerprint of the realm's certificate, and exit."],
        ["new-key", None, f"Give the realm a new key, and exit. {_KEY_HELP}"],
    ]

    def postOptions(self) -> None:
        """Read and check the configuration."""
        try:
            self["load"] = load = self._loader(Path.cwd())
            self["settings"] = config = load()
            if self["fingerprint"] and self["new-key"]:
                raise ConfigError(
                    "--fingerprint and --new-key are both given; expected one of them"
                )
            if self["fingerprint"]:
                finish(fingerprint_of(config))
            if self["new-key"]:
                finish(str(renew_key(config)))
        except (ConfigError, IdentityError, StartError) as error:
            stop(str(error))

    def _loader(self, here: Path) -> Callable[[], Config]:
        """What reads the configuration, also after the working directory has changed. Raises ConfigError."""
        given = here / self["config"] if self["config"] else None
        if self["demo"]:
            second = bool(self["second"])
            return lambda: demo_config(
                load_config(given) if given else Config(), here, second=second
            )
        if self["second"]:
            raise ConfigError("--second is given without --demo; expected both")
        path = given or find_config(here)
        if path is None:
            return lambda: msgspec.structs.replace(Config(), state=here / Config().state)
        return lambda: load_config(path)


def makeService(options: Options) -> IService:
    """Create the daemon's service for twistd, which starts it."""
    from twisted.internet import reactor

    config: Config = options["settings"]
    twistd: Any = options.parent or {}
    if not make_monotonic(reactor):
        log.warn("this reactor's timers use the system's clock, and stop while that is set back")
    return ChatDaemon(
        config,
        cast(IReactor, reactor),
        os.urandom,
        StartOptions(demo=bool(options["demo"]), accept_loss=bool(options["accept-loss"])),
        output=LogOutput(config.log, twistd),
        outside=Surroundings(
            foreground=bool(twistd.get("nodaemon", True)),
            load=options["load"],
            supervision=supervision_of(os.environ, os.getpid()),
        ),
    )
