"""The bus over Redis's publish and subscribe. Realms that share a server have channels of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from chatd.cluster.bus import Packet

FRAME_SIZE = 64 << 10  # bytes
TIMEOUT = 5.0  # seconds, for connecting and for each answer


class RedisBusServer:
    """A `chatd.cluster.threaded_wire.BusServer`. `url` is as redis-py has it: redis://, rediss:// or unix://."""

    name = "Redis"
    frame_size = FRAME_SIZE

    def __init__(self, url: str, realm: str) -> None:
        self._url = url
        self._channel = f"chatd:{realm}"

    def open_sender(self) -> RedisFrameSender:
        return RedisFrameSender(self._connect(), self._channel)

    def open_listener(self, node: str) -> RedisFrameListener:
        channels = self._channel, _channel_of(self._channel, node)
        return RedisFrameListener(self._connect(), channels)

    def close(self) -> None:
        """Each connection is closed by itself."""

    def _connect(self) -> Any:
        options = {} if self._url.startswith("unix:") else {"socket_keepalive": True}
        # The wire connects again: only so is it known that frames may be lost.
        return redis.Redis.from_url(
            self._url,
            socket_timeout=TIMEOUT,
            socket_connect_timeout=TIMEOUT,
            retry=Retry(NoBackoff(), 0),
            **options,
        )


class RedisFrameSender:
    """Sends frames. It is open once the server has answered."""

    def __init__(self, client: Any, channel: str) -> None:
        self._client = client
        self._channel = channel
        client.ping()

    def send(self, packets: Sequence[Packet]) -> None:
        if not packets:
            return
        with self._client.pipeline(transaction=False) as pipeline:
            for to, frame in packets:
                pipeline.publish(_channel_of(self._channel, to), frame)
            pipeline.execute()

    def close(self) -> None:
        self._client.close()


class RedisFrameListener:
    """Receives frames."""

    def __init__(self, client: Any, channels: Sequence[str]) -> None:
        self._client = client
        self._subscription = client.pubsub()
        self._subscription.subscribe(*channels)

    def receive(self, seconds: float) -> Sequence[bytes]:
        found = self._subscription.get_message(timeout=seconds)
        return [found["data"]] if found is not None and found["type"] == "message" else []

    def close(self) -> None:
        self._subscription.close()
        self._client.close()


def _channel_of(realm: str, node: str) -> str:
    """The channel of a realm, or that of the node of that name if it is not empty."""
    return f"{realm}/{node}" if node else realm
