"""Encodes JSON: compact, in UTF-8."""

from __future__ import annotations

from typing import Any

import msgspec

from chatd.base.texts import Secret


def _write_secret(value: Any) -> str:
    """A Secret as a str, which msgspec does not make of it. Raises TypeError for anything else."""
    if isinstance(value, Secret):
        return str(value)
    raise TypeError(f"json has no words for {type(value).__name__}")


encode = msgspec.json.Encoder(enc_hook=_write_secret).encode
