"""The options of `twistd chatd`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
from twisted.application.service import IService
from twisted.logger import Logger
from twisted.python import usage

from chatd.app.console import finish, say, stop
from chatd.app.daemon import ChatDaemon, Surroundings
from chatd.app.demo_realms import FOLDER, SHIFT, demo_config
from chatd.app.keys import fingerprint_of, make_cluster_key, renew_key, seal_keys
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
_MOVE_HELP = (
    "postgresql://USER@HOST/NAME; it has to be empty. Stop the daemon first. See docs/scaling.md."
)
_UNDO_HELP = "It does not have what was written since."
_LOSS_HELP = "It continues with what can be read, else with an empty database. No file is removed."
_CLUSTER_HELP = "All nodes of a realm need the same file."
_SEAL_HELP = (
    "They are sealed with [cluster] key_file as they are in this state folder: after that file was replaced. "
    "Stop the daemon on this node first."
)
# What is done instead of a start
_TASKS = ("fingerprint", "new-key", "move-store", "new-cluster-key", "seal-keys")

log = Logger()


class Options(usage.Options):
    """Command line options of `twistd chatd`."""

    synopsis = (
        "[--config FILE] [--accept-loss] [--undo-move] [--demo [--second]] "
        "[--fingerprint | --new-key | --move-store URL | --new-cluster-key | --seal-keys]"
    )
    longdesc = "A federated chat daemon. Reads ./etc/chatd.ini, else /etc/chatd.ini, else defaults."
    optParameters = [
        ["config", "c", None, "Read this configuration file."],
        ["move-store", None, None, f"Move the realm to this database, and exit. {_MOVE_HELP}"],
    ]
    optFlags = [
        ["demo", None, f"Run realm1, a demo with three accounts. {_DEMO_HELP}"],
        ["second", None, f"With --demo: run realm2 instead. {_SECOND_HELP}"],
        ["accept-loss", None, f"Start although the database has lost data. {_LOSS_HELP}"],
        ["undo-move", None, f"Start on the database from which the realm was moved. {_UNDO_HELP}"],
        ["fingerprint", None, "Print the fingerprint of the realm's certificate, and exit."],
        ["new-key", None, f"Give the realm a new key, and exit. {_KEY_HELP}"],
        ["new-cluster-key", None, f"Make the file [cluster] key_file, and exit. {_CLUSTER_HELP}"],
        ["seal-keys", None, f"Seal the realm's keys in the database, and exit. {_SEAL_HELP}"],
    ]

    def postOptions(self) -> None:
        """Read and check the configuration."""
        try:
            self["load"] = load = self._loader(Path.cwd())
            self["settings"] = config = load()
            self._check_tasks()
            if self["fingerprint"]:
                finish(fingerprint_of(config))
            if self["new-key"]:
                finish(str(renew_key(config)))
            if self["new-cluster-key"]:
                finish(make_cluster_key(config))
            if self["seal-keys"]:
                finish(seal_keys(config))
            if self["move-store"]:
                finish(str(_move_store(config, self["move-store"])))
        except (ConfigError, IdentityError, StartError) as error:
            stop(str(error))

    def _check_tasks(self) -> None:
        """Raises ConfigError if there is more than one of what is done instead of a start."""
        given = [f"--{each}" for each in _TASKS if self[each]]
        if len(given) > 1:
            raise ConfigError(f"{' and '.join(given)} are both given; expected one of them")

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


def _move_store(config: Config, url: str) -> object:
    """Move the realm's database to `url`. Returns the report for the operator. Raises StartError."""
    from chatd.app.store_move import StoreMove  # only here: a start does not need it

    try:
        return StoreMove(
            config,
            url,
            lambda sentence: say(sentence, sys.__stderr__),
            lambda: os.urandom(16).hex(),
        ).run()
    except KeyboardInterrupt:
        raise StartError(
            "the move was interrupted; start the same again, and it continues"
        ) from None


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
        StartOptions(
            demo=bool(options["demo"]),
            accept_loss=bool(options["accept-loss"]),
            undo_move=bool(options["undo-move"]),
        ),
        output=LogOutput(config.log, twistd),
        outside=Surroundings(
            foreground=bool(twistd.get("nodaemon", True)),
            load=options["load"],
            supervision=supervision_of(os.environ, os.getpid()),
        ),
    )
