"""Sphinx: the Markdown files of this repository as pages of HTML. `make docs` runs it.

The source folder is the repository's root, so that links work here as they do on a forge.
"""

from __future__ import annotations

from sphinx.application import Sphinx

from chatd import __version__

project = "chatd"
author = "the authors of chatd"
copyright = "the authors of chatd"  # noqa: A001
release = version = __version__

extensions = ["myst_parser"]
root_doc = "README"
include_patterns = [
    "*.md",
    "docs/*.md",
    "docs/operating/*.md",
    "docs/scaling/*.md",
    "benchmarks/README.md",
]
myst_heading_anchors = 4
highlight_language = "none"
nitpicky = True

html_theme = "furo"
html_title = f"chatd {__version__}"
html_additional_pages = {"index": "redirect.html"}
templates_path = ["_templates"]
html_copy_source = False
html_show_sphinx = False

CONTENTS = """

```{toctree}
:hidden:
:caption: Use

docs/browser
docs/client
docs/moving
docs/dialects
docs/protocol
```

```{toctree}
:hidden:
:caption: Operate

docs/hosting
docs/operating
docs/operating/first-hour
docs/operating/daily
docs/operating/incidents
docs/operating/configuration
docs/operating/proxies
docs/operating/monitoring
docs/operating/realms
docs/operating/limits
docs/operating/files
docs/scaling
docs/scaling/failures
docs/scaling/sizing
docs/scaling/upgrades
docs/scaling/beyond-one-primary
docs/operating/rules
docs/peering
docs/federation
docs/simulation
docs/performance
SECURITY
NEWS
```

```{toctree}
:hidden:
:caption: Develop

docs/architecture
docs/conformance
CONTRIBUTING
benchmarks/README
```
"""


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """The table of contents, which a forge would show as it is written, is added to the first page here."""
    if name == root_doc:
        source[0] += CONTENTS


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", add_contents)
    return {"parallel_read_safe": True}
