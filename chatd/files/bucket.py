"""A bucket of an S3-compatible service. Everything here blocks, so it runs in a thread.

Only operations that nearly all such services have are used: PutObject, GetObject with ranges, HeadObject,
DeleteObject, ListObjectsV2, and multipart uploads, whose parts are copies of other objects (UploadPartCopy).

A request takes at most CONNECT_TIME and READ_TIME, and is sent at most ATTEMPTS times. Errors are OSErrors,
and FileNotFoundError for an object that does not exist. They have no credentials, and neither has the log.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import IO, Any, NamedTuple, Protocol

import boto3  # type: ignore[import-untyped] # it has no types, see ObjectClient
from botocore.config import Config as ClientConfig  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from chatd.base.config import FilesConfig

THREADS = 16  # of a node that wait for the service
CONNECT_TIME, READ_TIME = 5, 30  # seconds
ATTEMPTS = 3
MIN_PART = 5 << 20  # bytes of a part of a multipart upload, except the last one
PART = 8 << 20  # bytes of such a part, unless there would be too many
MAX_PARTS = 9000  # of the 10,000 that a service takes
COPIED = 1 << 30  # bytes that are copied at a time; a service takes 5 GiB
BLOCK = 4 << 20  # bytes that are read at a time
ANY_REGION = "us-east-1"  # for services that have none
MISSING = frozenset({"NoSuchKey", "NotFound", "404"})


class ObjectClient(Protocol):
    """The calls of boto3's client for S3 that are used here. Their arguments are those of the S3 API."""

    def put_object(self, **arguments: Any) -> Any: ...
    def get_object(self, **arguments: Any) -> Any: ...
    def head_object(self, **arguments: Any) -> Any: ...
    def delete_object(self, **arguments: Any) -> Any: ...
    def list_objects_v2(self, **arguments: Any) -> Any: ...
    def create_multipart_upload(self, **arguments: Any) -> Any: ...
    def upload_part(self, **arguments: Any) -> Any: ...
    def upload_part_copy(self, **arguments: Any) -> Any: ...
    def complete_multipart_upload(self, **arguments: Any) -> Any: ...
    def abort_multipart_upload(self, **arguments: Any) -> Any: ...
    def list_multipart_uploads(self, **arguments: Any) -> Any: ...


class ObjectState(NamedTuple):
    """What changes whenever an object does, and its size in bytes."""

    etag: str
    size: int


class ListedObject(NamedTuple):
    """An object in a list. `modified` is in seconds since 1970 UTC."""

    key: str
    size: int
    modified: float


class CopiedRange(NamedTuple):
    """The bytes of an object from `start` to before `end`."""

    key: str
    start: int
    end: int


def connect(files: FilesConfig, threads: int = THREADS) -> ObjectClient:
    """A client for `threads` threads. Credentials are found as boto3 always does: in the environment, its
    files, or the machine's role. Raises OSError."""
    with _translated("the client"):
        client: ObjectClient = boto3.session.Session().client(
            "s3",
            endpoint_url=files.endpoint or None,
            region_name=files.region or (ANY_REGION if files.endpoint else None),
            config=ClientConfig(
                connect_timeout=CONNECT_TIME,
                read_timeout=READ_TIME,
                retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
                max_pool_connections=threads,
                # Other services than Amazon's may not know the newer checksums. See `_md5`.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
                s3={"addressing_style": "path" if files.endpoint else "auto"},
            ),
        )
    return client


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn boto3's errors into OSErrors."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", "an error"))
        if code in MISSING:
            raise FileNotFoundError(f"{what}: there is no such object") from None
        raise OSError(f"{what}: the storage service answered {code}") from None
    except (BotoCoreError, ValueError) as error:
        # Its text could have an address with a signature.
        raise OSError(f"{what}: {type(error).__name__}") from None


def _md5(body: IO[bytes]) -> str:
    """What the service compares the bytes with that it gets (RFC 1864)."""
    digest = hashlib.md5(usedforsecurity=False)
    while data := body.read(1 << 20):
        digest.update(data)
    body.seek(0)
    return base64.b64encode(digest.digest()).decode()


class Bucket:
    """The objects whose keys begin with `prefix` in the bucket `name`. Keys are given without the prefix."""

    def __init__(self, client: ObjectClient, name: str, prefix: str) -> None:
        self._client = client
        self._name = name
        self._prefix = prefix

    @property
    def where(self) -> str:
        """The address of the objects, for people."""
        return f"s3://{self._name}/{self._prefix}"

    def _object(self, key: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._prefix + key}

    def put(self, key: str, body: IO[bytes]) -> None:
        """Store an object with the bytes of `body`, of which there are at most some MiB."""
        body.seek(0)
        with _translated("storing"):
            self._client.put_object(**self._object(key), Body=body, ContentMD5=_md5(body))

    def head(self, key: str) -> ObjectState:
        try:
            with _translated("looking up"):
                found = self._client.head_object(**self._object(key))
        except FileNotFoundError:
            # The answer has no body, and is the same if there is no such bucket. Then no file is missing.
            with _translated("looking up"):
                self._client.list_objects_v2(
                    Bucket=self._name, Prefix=self._prefix + key, MaxKeys=1
                )
            raise
        return ObjectState(str(found["ETag"]), int(found["ContentLength"]))

    def get(self, key: str, start: int, size: int, etag: str | None = None) -> bytes:
        """`size` bytes of an object from `start` on, all of which exist, unless it has another `etag`."""
        arguments: dict[str, str] = {"Range": f"bytes={start}-{start + size - 1}"}
        if etag is not None:
            arguments["IfMatch"] = etag
        for left in reversed(range(ATTEMPTS)):
            try:
                with _translated("reading"):
                    body = self._client.get_object(**self._object(key), **arguments)["Body"]
                    with body:
                        data: bytes = body.read()
                if len(data) == size:
                    return data
            except FileNotFoundError:
                raise
            except OSError:
                if not left:
                    raise
        raise OSError("reading: the storage service sent too few bytes")

    def blocks(self, key: str, size: int, etag: str | None = None) -> Iterator[bytes]:
        """All bytes of an object that has `size` of them."""
        for start in range(0, size, BLOCK):
            yield self.get(key, start, min(BLOCK, size - start), etag)

    def delete(self, key: str) -> None:
        """Remove an object, if it exists."""
        with _translated("removing"), suppress(FileNotFoundError):
            self._client.delete_object(**self._object(key))

    def list(
        self, beginning: str, *, after: str = "", nested: bool = True
    ) -> Iterator[ListedObject]:
        """The objects whose keys begin so, by key, those after `after`. Not `nested`: without those with
        another / in their keys. Asks for a thousand at a time."""
        arguments = {"Bucket": self._name, "Prefix": self._prefix + beginning}
        if after:
            arguments["StartAfter"] = self._prefix + after
        if not nested:
            arguments["Delimiter"] = "/"
        while True:
            with _translated("listing"):
                page = self._client.list_objects_v2(**arguments)
            for each in page.get("Contents", ()):
                modified: datetime = each["LastModified"]
                key = each["Key"].removeprefix(self._prefix)
                yield ListedObject(key, int(each["Size"]), modified.timestamp())
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]
            arguments.pop("StartAfter", None)

    def assemble(self, key: str, copied: Sequence[CopiedRange], rest: IO[bytes], size: int) -> None:
        """Store an object of `size` bytes that is made of other ones, which stay, and of the bytes of `rest`.
        Only the last of all may have fewer than MIN_PART bytes."""
        rest.seek(0)
        with _translated("storing"):
            begun = self._client.create_multipart_upload(**self._object(key))
            upload = {**self._object(key), "UploadId": begun["UploadId"]}
        try:
            with _translated("storing"):
                parts = [
                    self._copy_part(upload, number, each) for number, each in enumerate(copied, 1)
                ]
                for body in _sections(rest, part_size(size)):
                    parts.append(self._upload_part(upload, len(parts) + 1, body))
            self._complete(upload, key, parts, size)
        except BaseException:
            with suppress(OSError), _translated("aborting"):
                self._client.abort_multipart_upload(**upload)
            raise

    def _copy_part(
        self, upload: dict[str, str], number: int, source: CopiedRange
    ) -> dict[str, Any]:
        made = self._client.upload_part_copy(
            **upload,
            PartNumber=number,
            CopySource=self._object(source.key),
            CopySourceRange=f"bytes={source.start}-{source.end - 1}",
        )
        return {"PartNumber": number, "ETag": made["CopyPartResult"]["ETag"]}

    def _upload_part(self, upload: dict[str, str], number: int, body: IO[bytes]) -> dict[str, Any]:
        made = self._client.upload_part(
            **upload, PartNumber=number, Body=body, ContentMD5=_md5(body)
        )
        return {"PartNumber": number, "ETag": made["ETag"]}

    def _complete(
        self, upload: dict[str, str], key: str, parts: Sequence[dict[str, Any]], size: int
    ) -> None:
        try:
            with _translated("storing"):
                self._client.complete_multipart_upload(
                    **upload, MultipartUpload={"Parts": list(parts)}
                )
        except OSError:
            # The answer to a request that was sent twice may be that there is no such upload any more.
            with suppress(OSError):
                if self.head(key).size == size:
                    return
            raise
        if self.head(key).size != size:
            raise OSError("storing: the storage service has made an object of another size")

    def store(self, key: str, body: IO[bytes], size: int) -> None:
        """Store an object with the `size` bytes of `body`."""
        if size <= part_size(size):
            self.put(key, body)
        else:
            self.assemble(key, (), body, size)

    def move(self, source: str, target: str) -> None:
        """Give an object another key. Raises FileNotFoundError."""
        size = self.head(source).size
        ranges = [
            CopiedRange(source, start, min(start + COPIED, size))
            for start in range(0, size, COPIED)
        ]
        if ranges:
            self.assemble(target, ranges, io.BytesIO(), size)
        else:
            self.put(target, io.BytesIO())
        self.delete(source)

    def abort_uploads(self, oldest: float) -> int:
        """Abort the multipart uploads that were begun before `oldest` (seconds since 1970 UTC) and never
        completed. Returns how many."""
        arguments = {"Bucket": self._name, "Prefix": self._prefix}
        aborted = 0
        while True:
            with _translated("listing"):
                page = self._client.list_multipart_uploads(**arguments)
            for each in page.get("Uploads", ()):
                if each["Initiated"].timestamp() < oldest:
                    with suppress(FileNotFoundError), _translated("aborting"):
                        self._client.abort_multipart_upload(
                            Bucket=self._name, Key=each["Key"], UploadId=each["UploadId"]
                        )
                    aborted += 1
            if not page.get("IsTruncated"):
                return aborted
            arguments["KeyMarker"] = page["NextKeyMarker"]
            arguments["UploadIdMarker"] = page["NextUploadIdMarker"]


def part_size(size: int) -> int:
    """The bytes of a part of an object of `size` bytes."""
    return max(PART, -(-size // MAX_PARTS))


def _sections(body: IO[bytes], size: int) -> Iterator[IO[bytes]]:
    while data := body.read(size):
        yield io.BytesIO(data)
