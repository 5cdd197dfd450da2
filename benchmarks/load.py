"""The load generator: one scenario against one server, figures as a JSON object on stdout.

``python -m benchmarks.load SCENARIO --port PORT --dialect json --pid PID …`` is a process of its
own, so that it can be bound to another CPU than the server. `benchmarks.__main__` starts it; it can
be pointed at any running server by hand as well. It ends by itself whatever the server does.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
from pathlib import Path

from benchmarks import live, stored
from benchmarks.crowd import Accounts, names
from benchmarks.dialects import DIALECTS, DialectError
from benchmarks.engine import LoadError, Loop, Report, raise_file_limit


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    options.add_argument(
        "scenario",
        choices=["register", "relay", "fanout", "federation", "offline", "idle", "big"],
    )
    options.add_argument("--port", type=int, required=True)
    options.add_argument("--dialect", choices=sorted(DIALECTS), default="json")
    options.add_argument("--pid", type=int, default=0, help="the server's, for its CPU and memory")
    options.add_argument("--n", type=int, default=100, help="pairs, members or connections")
    options.add_argument("--window", type=int, default=1, help="messages under way per sender")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--each", type=int, default=400, help="offline: messages per sender")
    options.add_argument("--tokens", type=Path, help="where tokens are kept from run to run")
    options.add_argument("--realm2", help="federation: the realm of those who are spoken to")
    options.add_argument("--port2", type=int, default=0, help="federation: its port")
    options.add_argument("--pid2", type=int, default=0, help="federation: its process")
    options.add_argument("--user", default="u0001", help="big: who asks")
    options.add_argument(
        "--to", default="u0002", help="big: whose conversation, and who is sent to"
    )
    options.add_argument("--calls", type=int, default=500, help="big: how often each is asked")
    return options


def run(options: argparse.Namespace, loop: Loop) -> Report:
    accounts = Accounts(loop.dialect, options.tokens)
    pid, count, window = options.pid, options.n, options.window
    match options.scenario:
        case "relay" | "fanout" as name:
            scenario = live.relay if name == "relay" else live.fanout
            return scenario(
                loop, accounts, pid, count=count, window=window, seconds=options.seconds
            )
        case "federation":
            elsewhere = None
            if options.realm2:
                elsewhere = live.Elsewhere(options.realm2, options.port2, options.pid2)
            return live.federation(
                loop,
                accounts,
                pid,
                elsewhere=elsewhere,
                count=count,
                window=window,
                seconds=options.seconds,
            )
        case "offline":
            return stored.offline(
                loop, accounts, pid, count=count, window=window, each=options.each
            )
        case "register":
            accounts.ensure(loop, names(1, count))
            return {"scenario": "register", "accounts": len(accounts.tokens)}
        case "idle":
            return stored.idle(loop, accounts, pid, count=count)
        case _:
            return stored.big(
                loop, accounts, pid, user=options.user, to=options.to, calls=options.calls
            )


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    raise_file_limit()
    # Nothing here makes cycles worth collecting, and a pause would be counted as the server's.
    gc.disable()
    loop = Loop(options.port, DIALECTS[options.dialect])
    try:
        report = run(options, loop)
    except (LoadError, DialectError, OSError) as error:
        report = {"scenario": options.scenario, "failed": str(error) or repr(error)}
    finally:
        loop.close()
    json.dump({"dialect": options.dialect, **report}, sys.stdout)
    print()
    return 1 if "failed" in report else 0


if __name__ == "__main__":
    sys.exit(main())
