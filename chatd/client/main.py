"""`chatd-client`: what may be said when it is started, and what it then does."""

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

if TYPE_CHECKING:  # all of it is imported late, so that what is missing can be said in a sentence
    from chatd.client.connection import Target
    from chatd.client.local_store import Store

NO_LINK = 2
INTERRUPTED = 130
TERMINATED = 143
MISSING = """chatd-client needs {name}, which is not installed. Install chatd with its extra "client":
    pip install 'chatd[client]'"""


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(
        prog="chatd-client",
        description="Talk in a realm of chatd.",
        epilog="Exit codes: 0 fine, 1 something was refused, 2 no connection.",
    )
    options.add_argument("where", nargs="?", metavar="host[:port]", help="the realm's json door; "
                         "else where you were last, else localhost:8888")  # fmt: skip
    options.add_argument("--user", metavar="NAME", help="go on as, or log in as, that user")
    options.add_argument("--tls", action="store_true", help="talk TLS")
    options.add_argument("--realm", metavar="NAME", help="the realm's name: on its certificate, and "
                         "in the bar")  # fmt: skip
    options.add_argument(
        "--ca", metavar="FILE", type=Path, help="certificates to trust (with --tls)"
    )
    options.add_argument(
        "--lang", choices=translations.LANGUAGES, default="en", help="the client's language"
    )
    options.add_argument("-c", dest="commands", metavar="LINE", action="append", help="carry out a "
                         "line and leave; may be given several times")  # fmt: skip
    options.add_argument("--json", action="store_true", help="print what the realm says as it is, an "
                         "object a line")  # fmt: skip
    options.add_argument("--downloads", metavar="DIR", type=Path, default=Path(), help="where "
                         "download/ and downloadgroup/ are; else here")  # fmt: skip
    options.add_argument(
        "--no-pictures", action="store_true", help="name pictures, don't show them"
    )
    options.add_argument("--quiet", action="store_true", help="no bell")
    options.add_argument("--version", action="version", version=f"chatd-client {__version__}")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
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
    from chatd.client.connection import ConnectionFailed, Target, parse_target
    from chatd.client.local_store import Store, state_folder

    translations.use(options.lang)
    store = Store(state_folder())
    where = options.where
    if where is None and (last := store.load().last) is not None:
        target = last
        if options.tls or options.realm or options.ca:
            target = Target(
                last.host, last.port, options.tls or last.tls, options.realm or last.realm,
                str(options.ca.resolve()) if options.ca else last.ca,
            )  # fmt: skip
    else:
        try:
            target = parse_target(where or "localhost", options.tls, options.realm, options.ca)
        except ValueError:
            return _complain(translations.tr("{where} is not host or host:port", where=where))
    try:
        store.prepare()
        if options.commands or options.json or not sys.stdin.isatty() or not sys.stdout.isatty():
            return asyncio.run(_script(options, target, store))
        return asyncio.run(_talk(options, target, store))
    except ConnectionFailed as no_link:
        return _complain(str(no_link))
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        return _complain(f"{error.filename or ''}: {error.strerror or error}", code=1)


def _complain(text: str, code: int = NO_LINK) -> int:
    print(f"chatd-client: {text}", file=sys.stderr)  # noqa: T201
    return code


async def _talk(options: argparse.Namespace, target: Target, store: Store) -> int:
    from chatd.client.interactive import InteractiveClient
    from chatd.client.screen import Screen

    task = asyncio.current_task()
    for number in (signal.SIGTERM, signal.SIGHUP):
        # In order, so that the terminal is left as it was found.
        asyncio.get_running_loop().add_signal_handler(number, task.cancel if task else sys.exit)
    screen = Screen(store.history, quiet=options.quiet)
    talk = InteractiveClient(
        target, store, screen, options.downloads, options.user, not options.no_pictures
    )
    await talk.run()
    return 0


async def _script(options: argparse.Namespace, target: Target, store: Store) -> int:
    from chatd.client.progress_bar import NoProgress, ProgressBar
    from chatd.client.script import Pipe, Script, given, read_lines

    # What is no UTF-8 is refused where it stands, and what can't be written is written as an escape.
    for stream, errors in ((sys.stdin, "surrogateescape"), (sys.stdout, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=errors)
    meter: ProgressBar | NoProgress = NoProgress()
    if sys.stderr.isatty():
        from rich.console import Console

        meter = ProgressBar(console=Console(stderr=True))
    pipe = Pipe(options.json, sys.stdout, sys.stderr)
    script = Script(target, store, pipe, options.downloads, options.user, meter)
    lines = given(options.commands) if options.commands else read_lines(sys.stdin)
    return await script.run(lines)


if __name__ == "__main__":
    sys.exit(main())
