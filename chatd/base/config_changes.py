"""What a reload changes: which keys differ between two configurations, and which of them it can apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from chatd.base.config import Config, FilesConfig

# The keys that are read at the start only. All others can be changed by a reload.
AT_START = frozenset(
    {
        "[realm] name",
        "[realm] state",
        "[realm] control_group",
        "[database] url",
        "[cluster] nodes",
        "[cluster] node",
        "[cluster] bus",
        "[cluster] key_file",
        *(f"[files] {key}" for key in FilesConfig.__struct_fields__),
    }
)

# The keys whose values are in fields of Config itself. All other fields are sections.
_OWN_KEYS = {
    "realm": "[realm] name",
    "state": "[realm] state",
    "control_group": "[realm] control_group",
    "trusted": "[listen] trusted",
    "database_url": "[database] url",
}


class ReloadReport(msgspec.Struct, frozen=True):
    """What a reload has done. `error` says why the configuration was refused; then nothing of it is in use,
    and `changed` and `restart` are empty. `changed` are the keys whose new values are in use, and `restart`
    those whose values are used after the next start. `renewed` are the files that were read again, and
    `failed` are sentences about what could not be done."""

    error: str = ""
    changed: tuple[str, ...] = ()
    restart: tuple[str, ...] = ()
    renewed: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def values_of(config: Config) -> Mapping[str, Any]:
    """All values by the name of their key, such as `[limits] file`. A section `[peer NAME]` is one value."""
    found: dict[str, Any] = {}
    for name in config.__struct_fields__:
        value = getattr(config, name)
        if name == "listen":
            found |= {f"[listen] {door}": endpoint for door, endpoint in value.items()}
        elif name in _OWN_KEYS:
            found[_OWN_KEYS[name]] = value
        else:
            found |= {f"[{name}] {key}": getattr(value, key) for key in value.__struct_fields__}
    for realm, peer in found.pop("[peers] known").items():
        found[f"[peer {realm}]"] = peer
    return found


def changed_keys(old: Config, new: Config) -> tuple[str, ...]:
    """The names of the keys whose values differ, in the order of the configuration."""
    before, after = values_of(old), values_of(new)
    missing = object()
    return tuple(
        key for key in {**before, **after} if before.get(key, missing) != after.get(key, missing)
    )


def reloaded(old: Config, new: Config) -> Config:
    """`new`, with the values of `old` for the keys that are read at the start only."""
    kept = {name: getattr(old, name) for name, key in _OWN_KEYS.items() if key in AT_START}
    # All keys of these sections are read at the start only.
    return msgspec.structs.replace(new, cluster=old.cluster, files=old.files, **kept)
