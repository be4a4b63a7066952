"""Downloads: one a model, real progress, ended by a cancel and not by a caller that leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.plugins_for_tests.weights import SIZE
from api.runtime_for_tests import maker, own_workers, run, until, weights
from open_speech_api.runtime.downloads import Download, Downloads
from open_speech_api.runtime.target import Target
from open_speech_core.errors import DownloadFailed, EngineError, OpenSpeechError, StorageFull, WorkerDied
from open_speech_core.types import Artifacts

KEY = "transcriber/weights:slow"


class Noted:
    """What downloads said they left."""

    def __init__(self) -> None:
        self.there: list[tuple[str, Artifacts]] = []

    def __call__(self, target: Target, there: Artifacts) -> None:
        self.there.append((target.key, there))


@asynccontextmanager
async def downloading(noted: Noted | None = None, at_once: int = 2) -> AsyncIterator[Downloads]:
    downloads = Downloads(maker(), noted or Noted(), at_once=at_once)
    yield downloads
    await downloads.close()
    assert not own_workers(), "each worker ended with its download"


def found(downloads: Downloads, key: str = KEY) -> Download:
    download = downloads.find(key)
    assert download is not None
    return download


def test_the_weights_come_whole_and_are_noted(tmp_path: Path) -> None:
    async def work() -> None:
        noted = Noted()
        async with downloading(noted) as downloads:
            await downloads.fetch(weights(tmp_path))
            assert downloads.find(KEY) is None
        assert noted.there == [(KEY, Artifacts(paths=(str(tmp_path / "slow.bin"),), complete=True))]

    run(work)
    assert (tmp_path / "slow.bin").stat().st_size == SIZE


def test_progress_is_real_and_never_shrinks(tmp_path: Path) -> None:
    seen: list[Download] = []

    async def work() -> None:
        async with downloading() as downloads:
            downloads.begin(weights(tmp_path))
            while (now := downloads.find(KEY)) is not None:
                seen.append(now)
                await asyncio.sleep(0.02)

    run(work)
    done = [each.bytes_done for each in seen]
    assert done == sorted(done)
    assert len(set(done)) > 4
    assert {each.bytes_total for each in seen} == {0, SIZE}
    moving = [each for each in seen if each.speed_bps]
    assert moving
    # A step of 1,000 bytes takes 50 ms.
    assert all(1_000 < each.speed_bps < 25_000 for each in moving[2:])
    assert all(each.eta_s is not None and 0 <= each.eta_s < 5 for each in moving)


def test_many_callers_share_one_download(tmp_path: Path) -> None:
    async def work() -> None:
        async with downloading() as downloads:
            calls = [asyncio.create_task(downloads.fetch(weights(tmp_path))) for _ in range(5)]
            await until(lambda: (now := downloads.find(KEY)) and now.bytes_done)
            assert len(own_workers()) == 1
            await asyncio.gather(*calls)

    run(work)


def test_a_caller_that_leaves_ends_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        async with downloading() as downloads:
            leaving = asyncio.create_task(downloads.fetch(weights(tmp_path)))
            await until(lambda: (now := downloads.find(KEY)) and now.bytes_done)
            leaving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await leaving
            await downloads.fetch(weights(tmp_path))
        assert (tmp_path / "slow.bin").exists()

    run(work)


def test_only_so_many_at_once(tmp_path: Path) -> None:
    async def work() -> None:
        async with downloading(at_once=1) as downloads:
            downloads.begin(weights(tmp_path))
            downloads.begin(weights(tmp_path, "org/slower"))
            await until(lambda: (now := downloads.find(KEY)) and now.bytes_done)
            waiting = found(downloads, "transcriber/weights:org/slower")
            assert (waiting.state, waiting.bytes_done, waiting.eta_s) == ("queued", 0, None)
            assert found(downloads).state == "downloading"
            await downloads.fetch(weights(tmp_path, "org/slower"))

    run(work)


@pytest.mark.parametrize("queued", [False, True])
def test_a_cancel_ends_it_for_all_who_wait(tmp_path: Path, queued: bool) -> None:
    async def work() -> None:
        async with downloading(at_once=1) as downloads:
            if queued:
                downloads.begin(weights(tmp_path, "org/slower"))
            calls = [asyncio.create_task(downloads.fetch(weights(tmp_path))) for _ in range(2)]
            await until(lambda: downloads.find(KEY) and (queued or found(downloads).bytes_done))
            assert await downloads.cancel(KEY)
            for call in calls:
                with pytest.raises(DownloadFailed, match="cancelled"):
                    await call
            assert downloads.find(KEY) is None
            assert not await downloads.cancel(KEY)
            assert len(own_workers()) == queued
            assert not (tmp_path / "slow.bin").exists()
            if not queued:
                partial = tmp_path / "slow.partial"
                assert 0 < partial.stat().st_size < SIZE, "what came stays for the next"
                await downloads.fetch(weights(tmp_path))
                assert (tmp_path / "slow.bin").stat().st_size == SIZE

    run(work)


def test_a_cancel_before_it_began(tmp_path: Path) -> None:
    async def work() -> None:
        async with downloading() as downloads:
            downloads.begin(weights(tmp_path))
            assert await downloads.cancel(KEY)
            assert downloads.find(KEY) is None
            await downloads.fetch(weights(tmp_path))

    run(work)


@pytest.mark.parametrize(
    ("fault", "error"),
    [("network", DownloadFailed), ("disk", StorageFull), ("exit", WorkerDied), ("bug", EngineError)],
)
def test_a_failure_is_told_and_kept_until_the_next(tmp_path: Path, fault: str, error: type[OpenSpeechError]) -> None:
    async def work() -> None:
        failing = weights(tmp_path, WEIGHTS_FAULT=fault)
        async with downloading() as downloads:
            first, second = await asyncio.gather(
                downloads.fetch(failing), downloads.fetch(failing), return_exceptions=True
            )
            assert type(first) is error
            assert type(second) is error
            assert first is not second, "each may be raised with a trace of its own"
            kept = found(downloads)
            assert kept.state == "failed"
            assert kept.error is not None
            assert kept.error.code == error.code
            assert "secret" not in kept.error.message
            (tmp_path / "mended").touch()
            downloads.begin(failing)
            assert found(downloads).error is None
            await downloads.fetch(failing)
            assert downloads.find(KEY) is None

    run(work)
