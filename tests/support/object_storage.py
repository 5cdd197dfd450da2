"""A storage service on loopback that speaks the protocol of Amazon S3: moto's. One for each test process."""

from __future__ import annotations

import logging
import os
import threading
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast
from unittest import SkipTest, mock

from chatd.base.config import S3, FilesConfig
from chatd.files.bucket import ObjectClient, connect

BUCKET = "chatd-files"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret-outside-of-tests",
    "AWS_EC2_METADATA_DISABLED": "true",
}

_starting = threading.Lock()
_service: ObjectService | None = None


class ObjectService:
    """The service. `address` is its URL."""

    def __init__(self) -> None:
        from moto.server import ThreadedMotoServer

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it names every request
        server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()  # its thread ends with the process
        host, port = server.get_host_and_port()
        self.address = f"http://{host}:{port}"

    def files(self, prefix: str = "") -> FilesConfig:
        """The section [files] for a bucket of the service."""
        return FilesConfig(S3, None, BUCKET, prefix, self.address)

    @cached_property
    def client(self) -> ObjectClient:
        """A client for tests of the same process; to make one takes long. The bucket exists."""
        with environment():
            client: Any = connect(self.files(), 4)
        client.create_bucket(Bucket=BUCKET)
        return cast(ObjectClient, client)

    @property
    def _bucket(self) -> Any:
        from moto.s3.models import s3_backends

        return s3_backends["123456789012"]["aws"].buckets[BUCKET]

    def keys(self, prefix: str = "") -> list[str]:
        """The keys of all objects that begin so, without that beginning."""
        return sorted(
            key.removeprefix(prefix) for key in self._bucket.keys if key.startswith(prefix)
        )

    def grow_old(self, seconds: float) -> None:
        """Let all objects be so many seconds old."""
        changed = datetime.now(UTC).replace(tzinfo=None) - timedelta(seconds=seconds)
        for each in self._bucket.keys.values():
            each.last_modified = changed

    def uploads(self, prefix: str) -> int:
        """How many multipart uploads of objects with this beginning are under way."""
        found = self._bucket.multiparts.values()
        return sum(1 for each in found if each.key_name.startswith(prefix))


def object_service() -> ObjectService:
    """The service of this process. Raises SkipTest if moto is not installed."""
    global _service
    with _starting:
        if _service is None:
            try:
                import moto.server  # noqa: F401
            except ImportError as error:
                raise SkipTest(
                    f"{error.name} is not installed: pip install 'moto[server]'"
                ) from None
            _service = ObjectService()
    return _service


def environment() -> Any:
    """A patch of the environment: credentials for the service, and no proxies."""
    return mock.patch.dict(
        os.environ, {**CREDENTIALS, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1"}
    )
