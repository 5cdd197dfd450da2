"""The announced pictures that the client still has to fetch and show."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any


class PictureQueue:
    """Announced pictures that wait for their download. Nothing is queued unless `enabled`."""

    def __init__(self) -> None:
        self.enabled = False
        self.waiting: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue(maxsize=20)
        self._known: set[object] = set()  # codes of the pictures that were queued or shown

    def is_new(self, code: object) -> bool:
        """Whether the picture was neither queued nor shown before; it counts as shown from now on."""
        if not self.enabled or code in self._known:
            return False
        self._known.add(code)
        return True

    def want(self, message: Mapping[str, Any]) -> None:
        """Queue the file of a message, if it has one and there is room."""
        file = message.get("file")
        if file and not self.waiting.full() and self.is_new(file.get("code")):
            self.waiting.put_nowait(file)
