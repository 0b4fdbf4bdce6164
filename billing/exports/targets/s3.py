"""A bucket of S3 or of a storage that speaks it (MinIO, Ceph, OSS, OBS...)."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

PART_BYTES = 8 * 1024 * 1024  # S3 wants at least 5 MiB and at most 10,000 parts: up to 80 GiB a file
_GONE = {"404", "NoSuchKey", "NotFound"}


@dataclass(frozen=True)
class Place:
    bucket: str
    prefix: str = ""
    """Ends with a slash, or is empty."""
    endpoint: str | None = None
    """None is AWS's own."""
    region: str = "us-east-1"
    access_key: str = field(default="", repr=False)
    secret_key: str = field(default="", repr=False)
    path_style: bool = True
    """The bucket in the path rather than in the host's name: what most storages beside AWS want."""


class S3:
    def __init__(self, place: Place) -> None:
        self._place = place
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=place.endpoint,
            region_name=place.region,
            aws_access_key_id=place.access_key or None,
            aws_secret_access_key=place.secret_key or None,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"max_attempts": 4, "mode": "standard"},
                s3={"addressing_style": "path" if place.path_style else "auto"},
                # Checksums in trailers are AWS's own; many storages refuse them.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    @contextmanager
    def create(self, name: str) -> Iterator["_Upload"]:
        """A multipart upload: the object appears when it is completed. Small files are put at once."""
        upload = _Upload(self._client, self._place.bucket, self._place.prefix + name)
        try:
            yield upload
            upload.complete()
        except BaseException:
            upload.abort()
            raise

    def open(self, name: str) -> BinaryIO:
        try:
            answer = self._client.get_object(Bucket=self._place.bucket, Key=self._place.prefix + name)
        except ClientError as error:
            if _code(error) in _GONE:
                raise FileNotFoundError(name) from error
            raise
        body: BinaryIO = io.BufferedReader(_Body(answer["Body"]), PART_BYTES)
        return body

    def size(self, name: str) -> int | None:
        try:
            answer = self._client.head_object(Bucket=self._place.bucket, Key=self._place.prefix + name)
        except ClientError as error:
            if _code(error) in _GONE:
                return None
            raise
        return int(answer["ContentLength"])

    def remove(self, name: str) -> None:
        self._client.delete_object(Bucket=self._place.bucket, Key=self._place.prefix + name)

    def close(self) -> None:
        self._client.close()


class _Upload:
    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client, self._where = client, {"Bucket": bucket, "Key": key}
        self._buffer = bytearray()
        self._parts: list[dict[str, Any]] = []
        self._id: str | None = None

    def write(self, data: bytes, /) -> int:
        self._buffer += data
        while len(self._buffer) >= PART_BYTES:
            self._send(bytes(self._buffer[:PART_BYTES]))
            del self._buffer[:PART_BYTES]
        return len(data)

    def _send(self, part: bytes) -> None:
        if self._id is None:
            self._id = self._client.create_multipart_upload(**self._where)["UploadId"]
        number = len(self._parts) + 1
        answer = self._client.upload_part(**self._where, UploadId=self._id, PartNumber=number, Body=part)
        self._parts.append({"PartNumber": number, "ETag": answer["ETag"]})

    def complete(self) -> None:
        if self._id is None:
            self._client.put_object(**self._where, Body=bytes(self._buffer))
            return
        if self._buffer:
            self._send(bytes(self._buffer))
        self._client.complete_multipart_upload(**self._where, UploadId=self._id, MultipartUpload={"Parts": self._parts})

    def abort(self) -> None:
        if self._id is not None:
            self._client.abort_multipart_upload(**self._where, UploadId=self._id)


class _Body(io.RawIOBase):
    """The answer of S3 as a file."""

    def __init__(self, body: Any) -> None:
        self._body = body

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._body.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        self._body.close()
        super().close()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
