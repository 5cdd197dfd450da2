"""The document `/.well-known/chatd.json` (RFC 8615): where a realm accepts the links of other realms."""

from __future__ import annotations

import re

import msgspec

from chatd.base.config import Config

PATH = "/.well-known/chatd.json"

# The port of an endpoint, and the rest of it
_DOOR = re.compile(r"(?:haproxy:)?tcp6?:(?:port=)?([1-9]\d*)(?=:|\Z)(.*)", re.ASCII)
_LOOPBACK = re.compile(r":interface=(?:127\.|localhost|(?:\\?:){2}1(?![0-9a-f:]))")


class Whereabouts(msgspec.Struct, frozen=True):
    """The document: the name of a realm, and the host and port of its door `peers`."""

    realm: str
    host: str
    port: int


def own_whereabouts(config: Config) -> Whereabouts | None:
    """The document of this realm; None if its door for other realms is closed to other machines."""
    public = config.peers.public_address
    if public is not None:
        host, _, port = public.rpartition(":")
        return Whereabouts(config.realm, host.strip("[]"), int(port))
    door = _DOOR.match(config.listen.get("peers", ""))
    if door is None or _LOOPBACK.search(door[2]):
        return None
    return Whereabouts(config.realm, config.realm, int(door[1]))
