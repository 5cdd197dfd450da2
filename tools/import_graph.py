"""Draws the picture of the layers in docs/architecture.md from the imports between the packages of chatd.

`python -m tools.import_graph` writes docs/pictures/layers.svg; a test compares it with the code. An arrow
points from a package to one that it imports. Arrows that follow from others are left out: if A imports B and
B imports C, there is no arrow from A to C. Imports under TYPE_CHECKING do not count.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

import grimp

PICTURE = Path(__file__).parents[1] / "docs" / "pictures" / "layers.svg"
BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW, MARGIN = 120, 34, 150, 72, 16
SWEEPS = 8
STYLE = """\
<style>
text { font: 14px sans-serif; text-anchor: middle; fill: #123 }
line { stroke: #567 }
.box { fill: #e8eef5; stroke: #567 }
</style>
<defs><marker id="head" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">
<path d="M0 0 8 4 0 8z" fill="#567"/></marker></defs>"""

Graph = Mapping[str, frozenset[str]]
Edge = tuple[str, str]
Point = tuple[float, float]


def package_of(module: str) -> str:
    """The box that a module belongs to: the first name below `chatd`."""
    return ".".join(module.split(".")[:2])


def package_imports() -> dict[str, frozenset[str]]:
    """For each package directly in chatd, the others that its modules import."""
    modules = grimp.build_graph("chatd", exclude_type_checking_imports=True, cache_dir=None)
    found: dict[str, set[str]] = {}
    for module in modules.modules - {"chatd"}:  # chatd itself has only the version
        here = found.setdefault(package_of(module), set())
        here |= {package_of(name) for name in modules.find_modules_directly_imported_by(module)}
    return {name: frozenset(others - {name, "chatd"}) for name, others in found.items()}


def reachable(graph: Graph) -> dict[str, frozenset[str]]:
    """For each package, all that it imports directly or by way of others. Raises CycleError."""
    below: dict[str, frozenset[str]] = {}
    for name in TopologicalSorter(graph).static_order():
        below[name] = graph[name].union(*(below[other] for other in graph[name]))
    return below


def reduced(graph: Graph) -> dict[str, frozenset[str]]:
    """The graph without the edges that follow from others."""
    below = reachable(graph)
    return {
        name: others - frozenset().union(*(below[other] for other in others))
        for name, others in graph.items()
    }


def ranks(graph: Graph) -> dict[str, int]:
    """How far each package is from the bottom: 0 imports nothing."""
    found: dict[str, int] = {}
    for name in TopologicalSorter(graph).static_order():
        found[name] = max((found[other] + 1 for other in graph[name]), default=0)
    return found


def with_bends(graph: Graph, rank: dict[str, int]) -> tuple[list[Edge], list[list[str]]]:
    """Edges of one row's length, and the rows. A longer edge gets a bend in each row it passes."""
    rows: list[list[str]] = [[] for _ in range(max(rank.values()) + 1)]
    for name in sorted(graph):
        rows[rank[name]].append(name)
    edges = []
    for name in sorted(graph):
        for other in sorted(graph[name]):
            above = name
            for row in range(rank[name] - 1, rank[other], -1):
                bend = f"{name}>{other}@{row}"
                rows[row].append(bend)
                edges.append((above, bend))
                above = bend
            edges.append((above, other))
    return edges, rows


def untangle(edges: Iterable[Edge], rows: list[list[str]]) -> None:
    """Sort each row by the mean place of its neighbours, downward and upward in turn."""
    edges = list(edges)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in reversed(rows) if down else rows:
            place = {name: _centred(row, index) for row in rows for index, name in enumerate(row)}
            near: dict[str, list[float]] = {}
            for above, below in edges:
                name, other = (below, above) if down else (above, below)
                near.setdefault(name, []).append(place[other])
            row.sort(key=lambda name: (_mean(near.get(name, [place[name]])), name))


def _centred(row: list[str], index: int) -> float:
    return index - (len(row) - 1) / 2


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def draw(graph: Graph) -> str:
    """The picture as SVG."""
    arrows = reduced(graph)
    edges, rows = with_bends(arrows, ranks(arrows))
    untangle(edges, rows)
    width = max(len(row) for row in rows) * COLUMN + 2 * MARGIN
    height = (len(rows) - 1) * ROW + BOX_HEIGHT + 2 * MARGIN
    points = {
        name: (
            width / 2 + _centred(row, index) * COLUMN,
            MARGIN + BOX_HEIGHT / 2 + (len(rows) - 1 - number) * ROW,
        )
        for number, row in enumerate(rows)
        for index, name in enumerate(row)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}">',
        "<title>The packages of chatd and their imports</title>",
        STYLE,
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        *(_arrow(points[above], points[below], below) for above, below in edges),
        *(_bend(points[name]) for name in sorted(points) if ">" in name),
        *(_box(points[name], name) for name in sorted(points) if ">" not in name),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _arrow(start: Point, end: Point, below: str) -> str:
    """From the bottom of what is above to the top of what is below; a bend has no head."""
    head = "" if ">" in below else ' marker-end="url(#head)"'
    (x1, y1), (x2, y2) = start, end
    return (
        f'<line x1="{x1:g}" y1="{y1 + BOX_HEIGHT / 2:g}" x2="{x2:g}" y2="{y2 - BOX_HEIGHT / 2:g}"'
        f"{head}/>"
    )


def _bend(point: Point) -> str:
    x, y = point
    top, bottom = y - BOX_HEIGHT / 2, y + BOX_HEIGHT / 2
    return f'<line x1="{x:g}" y1="{top:g}" x2="{x:g}" y2="{bottom:g}"/>'


def _box(point: Point, name: str) -> str:
    x, y = point
    left, top = x - BOX_WIDTH / 2, y - BOX_HEIGHT / 2
    return (
        f'<rect class="box" x="{left:g}" y="{top:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="5"/>'
        f'<text x="{x:g}" y="{y + 5:g}">{name.removeprefix("chatd.")}</text>'
    )


def main() -> None:
    PICTURE.write_text(draw(package_imports()), encoding="utf-8")
    print(f"{PICTURE} is written.", file=sys.stderr)


if __name__ == "__main__":
    main()
