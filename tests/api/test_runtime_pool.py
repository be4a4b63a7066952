"""Which models stay in memory: TTL, pins, the number of models, memory, and what a failed load leaves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from api.runtime_for_tests import Clock, maker, own_workers, run, target, until, weights
from open_speech_api.runtime.fleet import Fleet
from open_speech_api.runtime.memory import Memory
from open_speech_api.runtime.pool import Pool
from open_speech_api.runtime.preloads import Preloads
from open_speech_api.runtime.target import Policy, Target
from open_speech_core.errors import DownloadFailed, InsufficientMemory, LoadFailed, OpenSpeechError, Unavailable

ECHO, SLOW = target("echo"), target("echo-slow")
VOICE = target("echo-voice", kind="synthesizer")


@asynccontextmanager
async def pooled(policy: Policy | None = None, **more: object) -> AsyncIterator[Pool]:
    pool = Pool(policy or Policy(), maker(), **more)  # type: ignore[arg-type]
    yield pool
    await pool.drain(0)
    assert not own_workers()


def loaded(pool: Pool) -> set[str]:
    return {fleet.target.spec.load.model.id for fleet in pool.fleets() if fleet.replicas}


def fleet_of(pool: Pool, target: Target) -> Fleet:
    fleet = pool.find(target.key)
    assert fleet is not None
    return fleet


@pytest.mark.parametrize("model", [ECHO, VOICE], ids=["transcriber", "synthesizer"])
def test_what_is_idle_for_the_ttl_is_unloaded_and_nothing_else(model: Target) -> None:
    async def work() -> None:
        clock = Clock()
        async with pooled(Policy(ttl_s=60), clock=clock) as pool:
            await pool.load(model)
            fleet = fleet_of(pool, model)
            clock.now += 59
            fleet.expire()
            assert fleet.ttl_remaining_s() == pytest.approx(1)
            with pool.ticket(model, caller="") as ticket:
                async with ticket.lease():
                    clock.now += 600
                    fleet.expire()
                    assert fleet.replicas, "it is at work"
                    assert fleet.ttl_remaining_s() == 60
            fleet.expire()
            assert fleet.replicas, "it was at work until now"
            clock.now += 60
            fleet.expire()
            await until(lambda: not fleet.replicas)
            assert fleet.ttl_remaining_s() is None

    run(work)


def test_a_pinned_model_outlives_its_ttl_until_it_is_unloaded() -> None:
    async def work() -> None:
        clock = Clock()
        async with pooled(Policy(ttl_s=60), clock=clock) as pool:
            await Preloads(pool).run([ECHO])
            fleet = fleet_of(pool, ECHO)
            clock.now += 600
            fleet.expire()
            await asyncio.sleep(0.05)
            assert fleet.replicas
            assert fleet.ttl_remaining_s() is None
            assert await pool.unload(ECHO.key)
            await pool.load(ECHO)
            assert fleet.ttl_remaining_s() == 60

    run(work)


def test_the_longest_unused_gives_way() -> None:
    async def work() -> None:
        clock = Clock()
        async with pooled(Policy(max_loaded=2), clock=clock) as pool:
            for model in (ECHO, SLOW, ECHO):
                clock.now += 1
                await pool.load(model)
            clock.now += 1
            with pool.ticket(ECHO, caller="") as ticket:
                async with ticket.lease():
                    """It is used."""
            clock.now += 1
            await pool.load(VOICE)
            assert loaded(pool) == {"echo", "echo-voice"}

    run(work)


def test_a_model_in_use_is_waited_for_and_never_evicted() -> None:
    async def work() -> None:
        async with pooled(Policy(max_loaded=1, queue_wait_s=0.3)) as pool:
            await pool.load(ECHO)
            with pool.ticket(ECHO, caller="") as ticket:
                async with ticket.lease() as worker:
                    with pytest.raises(Unavailable, match="1 models are loaded and in use") as raised:
                        await pool.load(SLOW)
                    assert raised.value.retry_after_s
                    assert worker.alive
                    fleet = fleet_of(pool, SLOW)
                    assert fleet.error is not None
                    assert fleet.error.code == "unavailable"
                waiting = asyncio.create_task(pool.load(SLOW))
                await asyncio.sleep(0.05)
                assert loaded(pool) == {"echo"}
            pool.left()
            await waiting
            assert loaded(pool) == {"echo-slow"}
            assert fleet_of(pool, SLOW).error is None

    run(work)


def test_pinned_models_are_not_waited_for() -> None:
    async def work() -> None:
        async with pooled(Policy(max_loaded=1, queue_wait_s=60)) as pool:
            await Preloads(pool).run([ECHO])
            with pytest.raises(Unavailable, match="loaded at start and stay"):
                await asyncio.wait_for(pool.load(SLOW), 2)
            assert loaded(pool) == {"echo"}

    run(work)


def test_a_download_takes_nobodys_place(tmp_path: Path) -> None:
    async def work() -> None:
        come, fetched = asyncio.Event(), 0

        async def fetch(target: Target) -> None:
            nonlocal fetched
            fetched += 1
            await come.wait()

        async with pooled(Policy(max_loaded=1), fetch=fetch) as pool:
            await pool.load(ECHO)
            loading = asyncio.create_task(pool.load(weights(tmp_path)))
            await until(lambda: fetched)
            assert loaded(pool) == {"echo"}
            assert not fleet_of(pool, weights(tmp_path)).loading
            come.set()
            await loading
            assert loaded(pool) == {"slow"}
            assert fetched == 1

    run(work)


def test_a_download_that_fails_leaves_what_was_loaded(tmp_path: Path) -> None:
    async def work() -> None:
        async def fetch(target: Target) -> None:
            raise DownloadFailed("no hub")

        async with pooled(Policy(max_loaded=1), fetch=fetch) as pool:
            await pool.load(ECHO)
            for _ in range(4):
                with pytest.raises(DownloadFailed):
                    await pool.load(weights(tmp_path))
            assert loaded(pool) == {"echo"}
            fleet = fleet_of(pool, weights(tmp_path))
            assert not fleet.failed, "no worker died"
            assert fleet.error is not None
            assert fleet.error.code == "download_failed"

    run(work)


def memory(tmp_path: Path, limit_mb: int) -> Memory:
    return Memory(tmp_path / "measured.json", {}, limit_mb)


def test_idle_models_give_way_until_it_fits_and_no_more_than_that(tmp_path: Path) -> None:
    async def work() -> None:
        clock = Clock()
        sized = [target(id, memory_mb=100) for id in ("echo", "echo-slow")]
        voice = target("echo-voice", kind="synthesizer", memory_mb=100)
        async with pooled(memory=memory(tmp_path, 250), clock=clock) as pool:
            for each in (*sized, voice):
                clock.now += 1
                await pool.load(each)
            assert loaded(pool) == {"echo-slow", "echo-voice"}

    run(work)


def test_a_model_that_would_not_fit_evicts_nobody(tmp_path: Path) -> None:
    async def work() -> None:
        async with pooled(Policy(max_loaded=1), memory=memory(tmp_path, 250)) as pool:
            await pool.load(target("echo", memory_mb=100))
            with pytest.raises(InsufficientMemory, match="needs about 300 MB and 150 MB are free"):
                await pool.load(target("echo-slow", memory_mb=300))
            assert loaded(pool) == {"echo"}

    run(work)


def test_a_busy_model_keeps_its_memory(tmp_path: Path) -> None:
    async def work() -> None:
        async with pooled(memory=memory(tmp_path, 150)) as pool:
            small = target("echo", memory_mb=100)
            with pool.ticket(small, caller="") as ticket:
                async with ticket.lease():
                    with pytest.raises(InsufficientMemory):
                        await pool.load(target("echo-slow", memory_mb=100))
            await pool.load(target("echo-slow", memory_mb=100))
            assert loaded(pool) == {"echo-slow"}

    run(work)


def test_a_further_replica_needs_memory_too(tmp_path: Path) -> None:
    async def replicas(limit_mb: int) -> int:
        wide = target("echo", memory_mb=100, max_replicas=2)
        async with pooled(memory=memory(tmp_path, limit_mb)) as pool:
            await pool.load(wide)
            with pool.ticket(wide, caller="") as first, pool.ticket(wide, caller="") as second:
                async with first.lease():
                    waiting = asyncio.create_task(_hold(second))
                    await asyncio.sleep(0.6)
                    count = len(fleet_of(pool, wide).replicas)
                await waiting
            return count

    assert asyncio.run(replicas(150)) == 1
    assert asyncio.run(replicas(250)) == 2


async def _hold(ticket: object) -> None:
    async with ticket.lease():  # type: ignore[attr-defined]
        """It came to its turn."""


def test_what_a_model_took_is_what_it_needs_next_time(tmp_path: Path) -> None:
    async def work() -> None:
        measured = memory(tmp_path, 1000)
        async with pooled(memory=measured) as pool:
            assert measured.needed_mb(ECHO) == 0
            await pool.load(ECHO)
            await until(lambda: measured.needed_mb(ECHO))
            assert 5 < measured.needed_mb(ECHO) < 200
            await pool.unload(ECHO.key)
        again = memory(tmp_path, 1)
        assert again.needed_mb(ECHO) == measured.needed_mb(ECHO)
        async with pooled(memory=again) as pool:
            with pytest.raises(InsufficientMemory):
                await pool.load(ECHO)

    run(work)


def test_an_error_of_a_load_is_kept_until_a_load_succeeds() -> None:
    async def work() -> None:
        async with pooled() as pool:
            failing = target("echo", ECHO_LOAD_FAIL="raise")
            with pytest.raises(OpenSpeechError) as raised:
                await pool.load(failing)
            fleet = fleet_of(pool, failing)
            assert fleet.error is not None
            assert fleet.error.code == raised.value.code == LoadFailed.code
            await pool.load(ECHO)
            assert fleet.error is None

    run(work)
