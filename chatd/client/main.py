"""The `chatd-client` program: its command-line options, and the choice between a terminal and a script."""

from __future__ import annotations

import argparse
import asyncio
import io
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from chatd import __version__
from chatd.client import translations

if TYPE_CHECKING:  # imported late, so that a missing package gives a clear error message
    from chatd.client.addresses import Addresses
    from chatd.client.local_store import Store

NO_LINK = 2
INTERRUPTED = 130
TERMINATED = 143
MISSING = """chatd-client needs {name}, which is not installed. Install chatd with its extra "client":
    pip install 'chatd[client]'"""


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="chatd-client",
        description="Chat in a chatd realm.",
        epilog="Exit codes: 0 success, 1 a command was refused, 2 no connection.",
    )
    options.add_argument("where", nargs="*", metavar="host[:port]",
                         help="address of the realm's json door, or "
                         "those of all its nodes; default: the last realm used, or else "
                         "localhost:8888")  # fmt: skip
    options.add_argument(
        "--user", metavar="NAME", help="continue the session of this user, or log in as them"
    )
    options.add_argument("--tls", action="store_true", help="use TLS")
    options.add_argument("--realm", metavar="NAME", help="the name of the realm, on its certificate and "
                         "in the bar")  # fmt: skip
    options.add_argument(
        "--ca", metavar="FILE", type=Path, help="certificates to trust (with --tls)"
    )
    options.add_argument(
        "--lang", choices=translations.LANGUAGES, default="en", help="the client's language"
    )
    options.add_argument("-c", dest="commands", metavar="LINE", action="append", help="run one "
                         "line and exit; may be repeated")  # fmt: skip
    options.add_argument("--json", action="store_true", help="print the realm's replies unchanged, one JSON "
                         "object a line")  # fmt: skip
    options.add_argument("--downloads", metavar="DIR", type=Path, default=Path(), help="the folder "
                         "for download/ and downloadgroup/; default: the current one")  # fmt: skip
    options.add_argument("--no-pictures", action="store_true", help="do not display pictures")
    options.add_argument("--quiet", action="store_true", help="do not ring the bell")
    options.add_argument("--version", action="version", version=f"chatd-client {__version__}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_intermixed_args(arguments)
    try:
        return _main(options)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("chatd"):
            raise
        print(MISSING.format(name=missing.name), file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except asyncio.CancelledError:
        return TERMINATED
    except BrokenPipeError:
        from chatd.client.script import quietly_end_output

        quietly_end_output()
        return 1


def _main(options: argparse.Namespace) -> int:
    from chatd.client.addresses import BadAddress
    from chatd.client.connection import ConnectionFailed
    from chatd.client.local_store import Store, state_folder

    translations.use(options.lang)
    store = Store(state_folder())
    try:
        addresses = _addresses(options, store)
    except BadAddress as bad:
        return _complain(str(bad))
    try:
        store.prepare()
        if options.commands or options.json or not sys.stdin.isatty() or not sys.stdout.isatty():
            return asyncio.run(_script(options, addresses, store))
        return asyncio.run(_talk(options, addresses, store))
    except ConnectionFailed as no_link:
        return _complain(str(no_link))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _complain(f"{error.filename or ''}: {error.strerror or error}", code=1)


def _addresses(options: argparse.Namespace, store: Store) -> Addresses:
    """Those that were given, or else those of the last realm. Raises BadAddress."""
    from chatd.client.addresses import parse_addresses

    last = store.load().addresses
    if not options.where and last is not None:
        return last.over(options.tls, options.realm, options.ca)
    return parse_addresses(options.where or ["localhost"], options.tls, options.realm, options.ca)


def _complain(text: str, code: int = NO_LINK) -> int:
    print(f"chatd-client: {text}", file=sys.stderr)  # noqa: T201
    return code


async def _talk(options: argparse.Namespace, addresses: Addresses, store: Store) -> int:
    from chatd.client.interactive import InteractiveClient
    from chatd.client.screen import Screen, ScreenOptions

    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Cancel the task instead of exiting, so that the terminal is restored.
        asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else sys.exit)
    screen = Screen(ScreenOptions(store.history, options.quiet))
    talk = InteractiveClient(
        addresses, store, screen, options.downloads, options.user, not options.no_pictures
    )
    await talk.run()
    return 0


async def _script(options: argparse.Namespace, addresses: Addresses, store: Store) -> int:
    from chatd.client.progress_bar import NoProgress, ProgressBar
    from chatd.client.script import Pipe, Script, given, read_lines

    # Input that is not UTF-8 is refused line by line; output that can't be encoded is escaped.
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    meter: ProgressBar | NoProgress = NoProgress()
    if sys.stderr.isatty():
        from rich.console import Console

        meter = ProgressBar(console=Console(stderr=True))
    pipe = Pipe(options.json, sys.stdout, sys.stderr)
    script = Script(addresses, store, pipe, options.downloads, options.user, meter)
    lines = given(options.commands) if options.commands else read_lines(sys.stdin)
    return await script.run(lines)


if __name__ == "__main__":
    sys.exit(main())
