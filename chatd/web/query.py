"""The path and the query of a request."""

from __future__ import annotations

from urllib.parse import parse_qsl

from twisted.web.server import Request

from chatd.base.errors import BadArgument
from chatd.base.names import printable

MAX_FIELDS = 20


def query_of(request: Request) -> dict[str, str]:
    """The fields of the query. If a name occurs more than once, its last value counts. Raises BadArgument."""
    # Twisted's own parser drops empty values, and splits at `;`, too.
    query = request.uri.partition(b"?")[2]
    try:
        pairs = parse_qsl(query.decode("ascii"), True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        expected = f"at most {MAX_FIELDS} fields, in UTF-8 with percent-encoding"
        raise BadArgument(argument="the query", found="that", expected=expected) from None
    return dict(pairs)


def rest_of(request: Request) -> str:
    """The path below the resource."""
    return "/".join(part.decode(errors="replace") for part in request.postpath or ())


def shown_path(request: Request) -> str:
    """The whole path, in a form that is safe within an error message."""
    return printable(request.path.decode(errors="replace"))
