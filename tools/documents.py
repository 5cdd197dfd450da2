"""Writes the documents that are made from the code: `python -m tools.documents`, a part of `make docs`.

These are docs/protocol.md, the table of metrics in docs/operating/monitoring.md, the picture in
docs/architecture.md, docs/man/chatctl.1, and the man pages in build/man.
"""

from __future__ import annotations

import re

from chatd.app.reference import metrics, reference
from chatd.ctl.manual import manual
from tools import import_graph, man_pages
from tools.man_pages import ROOT

MONITORING = ROOT / "docs" / "operating" / "monitoring.md"
METRICS_TABLE = re.compile(r"^\| name \| type \| labels \|.*\n(?:\|.*\n)*", re.MULTILINE)


def with_metrics(text: str) -> str:
    """docs/operating/monitoring.md with its current table. Raises ValueError if it has none."""
    if not METRICS_TABLE.search(text):
        raise ValueError(f"{MONITORING} has no table of metrics")
    return METRICS_TABLE.sub(lambda _: metrics(), text, count=1)


def main() -> None:
    (ROOT / "docs" / "protocol.md").write_text(reference(), encoding="utf-8")
    MONITORING.write_text(with_metrics(MONITORING.read_text(encoding="utf-8")), encoding="utf-8")
    (ROOT / "docs" / "man" / "chatctl.1").write_text(manual(), encoding="utf-8")
    import_graph.main()
    man_pages.main(ROOT / "build" / "man")


if __name__ == "__main__":
    main()
