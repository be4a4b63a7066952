"""Files of models are looked at and deleted; nobody else's are touched, whatever links say."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from open_speech_api.runtime import weights
from open_speech_core.errors import FeatureNotSupported

COMMIT = "0" * 40


def write(folder: Path, **files: int) -> Path:
    """Make a folder with files of so many bytes; ``__`` in a name stands for a dot."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, size in files.items():
        (folder / name.replace("__", ".")).write_bytes(b"w" * size)
    return folder


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write(tmp_path / "models")


def remove(root: Path, *paths: Path, roots: tuple[Path, ...] = ()) -> tuple[list[str], int]:
    return weights.remove(map(str, paths), (root, *roots))


def test_a_folder_goes_whole_and_nothing_beside_it(root: Path) -> None:
    mine = write(root / "whisper" / "mine", model__bin=1000, config__json=20)
    write(root / "whisper" / "mine-too", model__bin=5)
    assert weights.files([str(mine)], [root]) == [("whisper/mine/config.json", 20), ("whisper/mine/model.bin", 1000)]
    assert remove(root, mine) == (["whisper/mine"], 1020)
    assert everything(root) == {"whisper", "whisper/mine-too", "whisper/mine-too/model.bin"}
    assert remove(root, mine) == ([], 0)


def test_single_files_go_alone(root: Path) -> None:
    home = write(root / "piper", a__onnx=100, a__onnx__json=10, b__onnx=7)
    assert remove(root, home / "a.onnx", home / "a.onnx.json") == (["piper/a.onnx", "piper/a.onnx.json"], 110)
    assert everything(home) == {"b.onnx"}


@pytest.mark.parametrize("inside", [True, False])
def test_a_link_goes_and_what_it_leads_to_stays(root: Path, tmp_path: Path, inside: bool) -> None:
    other = write((root if inside else tmp_path) / "other", model__bin=1000)
    link = write(root / "whisper") / "mine"
    link.symlink_to(other)
    assert weights.files([str(link)], [root]) == [("whisper/mine/model.bin", 1000)]
    assert remove(root, link) == (["whisper/mine"], 0)
    assert not os.path.lexists(link)
    assert (other / "model.bin").stat().st_size == 1000


def test_a_link_that_leads_nowhere_goes_too(root: Path) -> None:
    link = write(root / "whisper") / "mine"
    link.symlink_to(root / "gone")
    assert remove(root, link) == (["whisper/mine"], 0)
    assert not os.path.lexists(link)


def test_links_in_a_folder_go_and_what_they_lead_to_stays(root: Path, tmp_path: Path) -> None:
    elsewhere = write(tmp_path / "elsewhere", model__bin=1000)
    mine = write(root / "mine", config__json=20)
    (mine / "model.bin").symlink_to(elsewhere / "model.bin")
    (mine / "all").symlink_to(elsewhere)
    assert remove(root, mine) == (["mine"], 20)
    assert everything(elsewhere) == {"model.bin"}


def test_a_file_that_has_another_name_frees_nothing(root: Path, tmp_path: Path) -> None:
    mine = write(root / "mine", model__bin=1000)
    os.link(mine / "model.bin", tmp_path / "kept.bin")
    assert remove(root, mine) == (["mine"], 0)
    assert (tmp_path / "kept.bin").stat().st_size == 1000


@pytest.mark.parametrize("way", ["beside", "dots", "parent is a link", "the root itself", "above"])
def test_what_lies_outside_is_refused_and_nothing_is_deleted(root: Path, tmp_path: Path, way: str) -> None:
    outside = write(tmp_path / "outside", model__bin=10)
    (root / "link").symlink_to(tmp_path)
    paths = {
        "beside": outside,
        "dots": root / ".." / "outside",
        "parent is a link": root / "link" / "outside",
        "the root itself": root,
        "above": tmp_path,
    }
    mine = write(root / "mine", model__bin=10)
    with pytest.raises(FeatureNotSupported, match="outside the server's folders"):
        remove(root, mine, paths[way])
    assert (mine / "model.bin").exists()
    assert (outside / "model.bin").exists()


def test_a_snapshot_stands_for_its_repository_and_for_no_other(root: Path) -> None:
    mine, other = root / "models--org--mine", root / "models--org--other"
    for repository in (mine, other):
        write(repository / "blobs", abc=1000)
        write(repository / "snapshots" / COMMIT)
        (repository / "snapshots" / COMMIT / "model.bin").symlink_to(repository / "blobs" / "abc")
    assert remove(root, mine / "snapshots" / COMMIT) == (["models--org--mine"], 1000)
    assert not mine.exists()
    assert (other / "snapshots" / COMMIT / "model.bin").read_bytes() == b"w" * 1000


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Let nothing in a folder be changed, by root neither."""
    if os.geteuid():
        folder.chmod(0o555)
        yield
        folder.chmod(0o755)
        return
    if subprocess.run(["mount", "--bind", "-o", "ro", str(folder), str(folder)], capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("name", ["mine", "mine/model.bin"])
def test_what_may_not_be_deleted_is_said_and_stays(root: Path, name: str) -> None:
    mine = write(root / "mine", model__bin=10)
    with read_only(mine if name.endswith(".bin") else root), pytest.raises(FeatureNotSupported) as raised:
        remove(root, root / name)
    assert "cannot be deleted" in raised.value.message
    assert str(root) not in raised.value.message
    assert (mine / "model.bin").exists()


def test_deleted_twice_at_once(root: Path) -> None:
    for _ in range(20):
        mine = write(root / "mine", **{f"file{number}": 1 for number in range(20)})
        with ThreadPoolExecutor(4) as callers:
            calls = [callers.submit(remove, root, mine) for _ in range(4)]
        results = [call.result() for call in calls]
        assert sorted(names for names, _ in results) == [[], [], [], ["mine"]]
        assert not everything(root)


def test_what_a_killed_deletion_left_is_swept_and_nothing_else(root: Path) -> None:
    write(root / ".deleting-1", model__bin=10)
    write(root / "whisper" / ".deleting-2" / "deep", model__bin=10)
    kept = write(root / "whisper" / "mine" / "a" / "b" / ".deleting-not-ours", model__bin=10)
    (root / "whisper" / ".deleting-link").symlink_to(kept)
    weights.sweep(root)
    assert (root / "whisper" / ".deleting-link").is_symlink(), "deleted links leave nothing"
    (root / "whisper" / ".deleting-link").unlink()
    assert {name for name in everything(root) if ".deleting" in name} == {
        "whisper/mine/a/b/.deleting-not-ours",
        "whisper/mine/a/b/.deleting-not-ours/model.bin",
    }
    weights.sweep(root / "absent")
