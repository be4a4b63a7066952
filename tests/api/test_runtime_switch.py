"""From one environment to another: who works goes on where it is, who comes is served by the new one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest
from msgspec import structs

from api.runtime_for_tests import run, target, until
from api.test_runtime_pool import fleet_of, pooled
from open_speech_api.runtime.memory import Memory
from open_speech_api.runtime.pool import Pool
from open_speech_api.runtime.preloads import Preloads
from open_speech_api.runtime.target import Target
from open_speech_api.runtime.worker import Worker

OLD = str(Path(sys.executable).with_name("python"))
NEW = str(Path(sys.executable).with_name("python3"))


def echo(interpreter: str = OLD, **environment: str) -> Target:
    return structs.replace(target("echo", **environment), interpreter=interpreter)


def interpreter(worker: Worker) -> str:
    assert worker.pid is not None
    return psutil.Process(worker.pid).cmdline()[0]


def interpreters(pool: Pool) -> list[str]:
    return [interpreter(replica.worker) for fleet in pool.fleets() for replica in fleet.replicas]


def test_a_lease_ends_where_it_began_and_the_next_is_of_the_new_environment() -> None:
    async def work() -> None:
        async with pooled() as pool:
            with pool.ticket(echo(), caller="a") as first:
                async with first.lease() as worker:
                    leaving = asyncio.create_task(pool.leave_interpreter(OLD, NEW))
                    with pool.ticket(echo(NEW), caller="b") as second:
                        async with second.lease() as other:
                            assert (interpreter(worker), interpreter(other)) == (OLD, NEW)
                    assert worker.alive
                    assert not leaving.done()
                await leaving
                assert not worker.alive
                async with first.lease() as again:
                    assert interpreter(again) == NEW, "a request's next lease too"
            assert interpreters(pool) == [NEW]

    run(work)


def test_where_two_copies_do_not_fit_the_next_caller_waits_for_the_old_one_to_end(tmp_path: Path) -> None:
    async def work() -> None:
        large = structs.replace(target("echo", memory_mb=60), interpreter=OLD)
        new = structs.replace(large, interpreter=NEW)
        async with pooled(memory=Memory(tmp_path / "measured.json", {}, 100)) as pool:

            async def served() -> str:
                with pool.ticket(new, caller="b") as ticket:
                    async with ticket.lease() as worker:
                        return interpreter(worker)

            with pool.ticket(large, caller="a") as ticket:
                async with ticket.lease() as worker:
                    leaving = asyncio.create_task(pool.leave_interpreter(OLD, NEW))
                    waiting = asyncio.create_task(served())
                    await asyncio.sleep(0.3)
                    assert worker.alive
                    assert not waiting.done()
                assert await waiting == NEW
            await leaving

    run(work)


def test_what_was_unloaded_and_still_works_is_waited_for() -> None:
    async def work() -> None:
        async with pooled() as pool:
            with pool.ticket(echo(), caller="a") as ticket:
                async with ticket.lease() as worker:
                    unloading = asyncio.create_task(pool.unload(echo().key))
                    await until(lambda: not fleet_of(pool, echo()).replicas)
                    leaving = asyncio.create_task(pool.leave_interpreter(OLD, NEW))
                    await asyncio.sleep(0.1)
                    assert worker.alive
                    assert not leaving.done()
            await leaving
            await unloading
            assert not worker.alive

    run(work)


def test_what_is_being_loaded_is_ended_when_it_is_there() -> None:
    async def work() -> None:
        async with pooled() as pool:
            slow = echo(ECHO_LOAD_DELAY_S="0.5")
            with pool.ticket(slow, caller="a") as ticket:
                ticket.prepare()
                await until(lambda: fleet_of(pool, slow).making)
                await pool.leave_interpreter(OLD, NEW)
                assert OLD not in interpreters(pool)
                async with ticket.lease() as worker:
                    assert interpreter(worker) == NEW

    run(work)


@pytest.mark.parametrize("new", [NEW, None])
def test_what_was_pinned_is_loaded_again_unless_its_provider_goes(new: str | None) -> None:
    async def work() -> None:
        async with pooled() as pool:
            await Preloads(pool).run([echo()])
            await pool.leave_interpreter(OLD, new)
            fleet = fleet_of(pool, echo())
            if new is not None:
                await until(lambda: fleet.replicas)
            assert interpreters(pool) == ([] if new is None else [new])
            assert fleet.pinned is (new is not None)
            assert not fleet.starting

    run(work)


def test_the_models_of_other_environments_stay() -> None:
    async def work() -> None:
        async with pooled() as pool:
            await pool.load(target("echo-voice", kind="synthesizer"))
            await pool.load(echo())
            await pool.leave_interpreter(OLD, NEW)
            assert loaded_kinds(pool) == ["synthesizer"]

    run(work)


def loaded_kinds(pool: Pool) -> list[str]:
    return [fleet.target.spec.kind for fleet in pool.fleets() if fleet.replicas]
