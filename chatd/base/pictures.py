"""What clients are told of files that are pictures."""

from __future__ import annotations

from typing import Any

from chatd.base.attachments import Attachment

FORMATS = frozenset(("image/png", "image/jpeg", "image/webp", "image/gif"))
MAX_BYTES = 24 << 20
MAX_PIXELS = 50_000_000


def picture_fields(file: Attachment) -> dict[str, Any]:
    """The size of a picture in pixels, and where its thumbnail is over HTTP."""
    if file.width is None:
        return {}
    size = {"width": file.width, "height": file.height}
    return size | ({"thumbnail": f"/thumbnails/{file.code}"} if has_thumbnail(file) else {})


def has_thumbnail(file: Attachment) -> bool:
    """Whether the server makes a small version of a file. Files of rooms, which have no id, have none."""
    return (
        file.id > 0
        and file.arrival is None
        and file.width is not None
        and file.height is not None
        and file.width * file.height <= MAX_PIXELS
        and file.size <= MAX_BYTES
        and file.mime in FORMATS
    )
