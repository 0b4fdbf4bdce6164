"""Folder and bucket: a file is there wholly or not at all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from billing.exports.targets import Target
from billing.exports.targets.folder import Folder
from billing.exports.targets.s3 import PART_BYTES
from tests.billing.focus.bucket import Bucket, bucket


@pytest.fixture(params=["folder", "bucket"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    if request.param == "folder":
        yield Folder(tmp_path)
    else:
        with bucket() as (_, s3):
            yield s3


def content(target: Target, name: str) -> bytes:
    with target.open(name) as file:
        return file.read()


def test_a_file_is_written_read_replaced_and_removed(target: Target) -> None:
    assert target.size("a/b.csv") is None
    with pytest.raises(FileNotFoundError):
        target.open("a/b.csv")
    for data in (b"first", b"the second"):
        with target.create("a/b.csv") as out:
            out.write(data)
        assert content(target, "a/b.csv") == data
        assert target.size("a/b.csv") == len(data)
    target.remove("a/b.csv")
    target.remove("a/b.csv")
    assert target.size("a/b.csv") is None


def test_nothing_is_there_before_the_end(target: Target) -> None:
    with target.create("a.csv") as out:
        out.write(b"some")
        assert target.size("a.csv") is None


def test_what_fails_leaves_what_was(target: Target) -> None:
    with target.create("a.csv") as out:
        out.write(b"whole")
    with pytest.raises(RuntimeError, match="in the middle"), target.create("a.csv") as out:
        out.write(b"ha")
        raise RuntimeError("in the middle")
    assert content(target, "a.csv") == b"whole"


def test_a_failed_folder_has_no_leftovers(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), Folder(tmp_path).create("a.csv") as out:
        out.write(b"ha")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_not_left_by_a_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside"):
        Folder(tmp_path / "in").size("../out.csv")


def test_large_files_go_up_in_parts() -> None:
    data = bytes(range(256)) * (PART_BYTES // 256)
    with bucket() as (server, target):
        with target.create("large") as out:
            for _ in range(2):
                out.write(data)
            out.write(b"end")
        assert server.objects["exports/large"] == data * 2 + b"end"
        assert server.uploads == {}
        assert content(target, "large") == data * 2 + b"end"


def test_a_failed_upload_is_taken_back() -> None:
    with bucket() as (server, target):
        server.refuse_part = 2
        with pytest.raises(ClientError), target.create("large") as out:
            out.write(bytes(2 * PART_BYTES))
        assert (server.objects, server.uploads) == ({}, {})


def test_keys_are_in_no_text() -> None:
    server = Bucket()
    server.server_close()
    assert "hidden" not in repr(server.place())
