"""AMP boxes and the types of their values, as docs/federation.md describes them."""

from __future__ import annotations

from collections.abc import Sequence

SIZE = 2  # bytes of a length
MAX_KEY = 255
END = b"\0\0"

Box = dict[str, bytes]


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(SIZE, "big") + data


def encode_box(box: Box) -> bytes:
    return b"".join(sized(key.encode()) + sized(value) for key, value in box.items()) + END


def encode_texts(texts: Sequence[str]) -> bytes:
    return b"".join(sized(text.encode()) for text in texts)


def decode_texts(data: bytes) -> list[str]:
    """Raises ValueError if a text is cut off, or is not UTF-8."""
    found = []
    at = 0
    while at < len(data):
        end = at + SIZE + int.from_bytes(data[at : at + SIZE], "big")
        if end > len(data):
            raise ValueError("a list of texts is cut off")
        found.append(data[at + SIZE : end].decode())
        at = end
    return found


class BoxBuffer:
    """What has arrived on a link."""

    def __init__(self) -> None:
        self._data = b""

    def add(self, data: bytes) -> None:
        self._data += data

    def take(self) -> Box | None:
        """Remove the first box. None if it is not complete. Raises ValueError for what is no box."""
        data, box, at = self._data, Box(), 0
        while at + SIZE <= len(data):
            size = int.from_bytes(data[at : at + SIZE], "big")
            at += SIZE
            if size == 0:
                if not box:
                    raise ValueError("an empty box arrived")
                self._data = data[at:]
                return box
            if size > MAX_KEY:
                raise ValueError(f"a key of {size} bytes arrived")
            value = at + size
            if value + SIZE > len(data):
                return None
            end = value + SIZE + int.from_bytes(data[value : value + SIZE], "big")
            if end > len(data):
                return None
            box[data[at:value].decode()] = data[value + SIZE : end]
            at = end
        return None
