"""The address of the browser's door, for links that people are sent."""

from __future__ import annotations

import re

from chatd.base.config import Config

# The kind of an endpoint over TCP, and its port
_DOOR = re.compile(r"(tcp6?|ssl):(?:port=)?([1-9]\d*)(?=:|\Z)", re.ASCII)
_PORTS = {"http": 80, "https": 443}


def web_address(config: Config) -> str | None:
    """The origin of the site, such as `https://chat.example.org`: `[web] url`, or what follows from the
    realm's name and the door. None if there is no door for browsers.

    A door that has no port of its own, or is behind a proxy, is taken for one that is reached by https.
    """
    if config.web.url is not None:
        return config.web.url
    door = config.listen.get("web")
    if door is None:
        return None
    found = _DOOR.match(door)
    if found is None or config.web.trusted_proxies:
        return f"https://{config.realm}"
    scheme, port = "https" if found[1] == "ssl" else "http", int(found[2])
    return f"{scheme}://{config.realm}" + ("" if port == _PORTS[scheme] else f":{port}")
