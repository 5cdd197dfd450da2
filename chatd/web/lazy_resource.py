"""A resource that is created when it is first requested."""

from __future__ import annotations

from collections.abc import Callable

from twisted.web.resource import Resource
from twisted.web.server import Request


class LazyResource(Resource):
    """Passes requests to the resource that `create` returns. It is created for the first of them, so that a
    realm where nobody needs it does not hold the libraries that it imports."""

    isLeaf = True

    def __init__(self, create: Callable[[], Resource]) -> None:
        super().__init__()
        self._create = create
        self._created: Resource | None = None

    def render(self, request: Request) -> int | bytes:
        if self._created is None:
            self._created = self._create()
        answer: int | bytes = self._created.render(request)
        return answer
