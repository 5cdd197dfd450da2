"""`python -m tests.browser.screenshots OUTDIR` takes pictures of every page, at two widths, in two themes."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.browser import studio, why_not
from tests.support.sample import ME, Sample

if TYPE_CHECKING:
    from playwright.sync_api import Browser


def shoot(browser: Browser, sample: Sample, folder: Path, only: str) -> int:
    """Take the pictures, and return their number. Each is named by its page, width and theme."""
    from tests.browser.test_access import OUTSIDE, PAGES, THEMES
    from tests.support.page import NARROW, WIDE, Person

    count = 0
    for size in (WIDE, NARROW):
        person = Person(browser, sample.here, size=size)
        for page in (*OUTSIDE, *PAGES):
            if page not in OUTSIDE and not person.name:
                person.comes_back(ME)
            if not re.search(only, page):
                continue
            person.go(page)
            person.page.get_by_role("heading", level=1).first.wait_for()
            person.is_quiet()
            name = re.sub(r"[^\w@]+", "-", page.removeprefix("#/")).strip("-") or "home"
            for theme in THEMES:
                person.has_theme(theme)
                person.page.screenshot(path=folder / f"{name}-{size[0]}-{theme}.png")
                count += 1
        person.close()
    return count


def main() -> None:
    options = argparse.ArgumentParser(
        prog="python -m tests.browser.screenshots", description=__doc__
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--only", default="", help="pages whose address has this in it (regex)")
    asked = options.parse_args()
    if reason := why_not():
        sys.exit(reason)
    asked.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="chatd-sample-") as root:
        sample = Sample(Path(root))
        try:
            sample.start()
            job = studio().do(lambda browser: shoot(browser, sample, asked.folder, asked.only))
            print(f"{job.result()} pictures in {asked.folder}")  # noqa: T201 - it is a command
        finally:
            sample.close()


if __name__ == "__main__":
    main()
