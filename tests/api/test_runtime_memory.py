"""What is free: the machine's memory, the container's limit, a GPU by its driver; and what was measured."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from api.runtime_for_tests import target
from open_speech_api.runtime.free_memory import container_free_mb, host_free_mb, taken_mb
from open_speech_api.runtime.memory import Driver, Held, Memory

MB = 1 << 20


def cgroup(folder: Path, limit: str, used_mb: int, inactive_mb: int = 0, *, v2: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("memory.max", "memory.current") if v2 else ("memory.limit_in_bytes", "memory.usage_in_bytes")
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used_mb * MB}\n")
    inactive = "inactive_file" if v2 else "total_inactive_file"
    (folder / "memory.stat").write_text(f"anon 1\n{inactive} {inactive_mb * MB}\nactive_file 7\n")


def test_the_machine_has_memory() -> None:
    assert 50 < host_free_mb() < 10_000_000


def test_a_process_takes_memory_while_it_lives() -> None:
    assert 5 < taken_mb(os.getpid()) < 10_000
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert taken_mb(child.pid) == 0


def test_no_limit_is_none(tmp_path: Path) -> None:
    own = tmp_path / "own"
    assert container_free_mb(tmp_path, own) is None
    own.write_text("0::/a\n")
    cgroup(tmp_path / "a", "max", 10)
    assert container_free_mb(tmp_path, own) is None


def test_file_cache_that_can_go_is_free(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    cgroup(tmp_path, str(100 * MB), 80, inactive_mb=30)
    assert container_free_mb(tmp_path, own) == 50


def test_the_tightest_of_the_enclosing_limits_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    cgroup(tmp_path / "outer", str(100 * MB), 90)
    cgroup(tmp_path / "outer" / "inner", str(500 * MB), 10)
    assert container_free_mb(tmp_path, own) == 10


def test_over_its_limit_nothing_is_free(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/\n")
    cgroup(tmp_path, str(100 * MB), 120)
    assert container_free_mb(tmp_path, own) == 0


def test_the_first_version_of_cgroups(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/a\n1:cpu:/\n")
    cgroup(tmp_path / "memory" / "a", str(200 * MB), 150, inactive_mb=20, v2=False)
    cgroup(tmp_path / "memory", str((1 << 63) - 4096), 150, v2=False)
    assert container_free_mb(tmp_path, own) == 70


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A program that answers as the GPU's driver does, on the path."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'case "$1" in\n'
        '--list-gpus) echo "GPU 0: A (UUID: GPU-a)"; echo "GPU 1: B (UUID: GPU-b)";;\n'
        '--query-gpu=*) echo "0, GPU-a, 1000"; echo "1, GPU-b, 9000";;\n'
        '--query-compute-apps=*) echo "41, GPU-a, 300"; echo "42, GPU-b, 500"; echo "42, GPU-a, 50";;\n'
        "esac\n"
    )
    program.chmod(0o755)
    return program.parent


def free(environ: dict[str, str], device: str) -> int | None:
    return asyncio.run(Driver(environ).free_mb(device))


def test_each_gpu_has_its_own(driver: Path) -> None:
    environ = {"PATH": f"{driver}:{os.environ['PATH']}"}
    assert Driver(environ).present
    assert free(environ, "cuda:0") == 1000
    assert free(environ, "cuda:1") == 9000
    assert free(environ, "cuda:2") is None
    assert free({**environ, "CUDA_VISIBLE_DEVICES": "1"}, "cuda:0") == 9000
    assert free({**environ, "CUDA_VISIBLE_DEVICES": "GPU-b,GPU-a"}, "cuda:1") == 1000
    assert asyncio.run(Driver(environ).taken_mb(42)) == 550
    assert asyncio.run(Driver(environ).taken_mb(7)) == 0


def test_without_a_driver_or_with_all_gpus_hidden_models_are_on_the_host(driver: Path, tmp_path: Path) -> None:
    environ = {"PATH": f"{driver}:{os.environ['PATH']}"}
    seen = Memory(tmp_path / "m", environ)
    assert seen.device(target(device="auto")) == "cuda:0"
    assert seen.device(target(device="cuda")) == "cuda:0"
    assert seen.device(target(device="cuda:1")) == "cuda:1"
    assert seen.device(target(device="cpu")) == "cpu"
    hidden = Memory(tmp_path / "m", {**environ, "CUDA_VISIBLE_DEVICES": ""})
    assert hidden.device(target(device="auto")) == "cpu"
    assert Memory(tmp_path / "m", {"PATH": str(tmp_path)}).device(target(device="auto")) == "cpu"


def test_a_model_on_a_gpu_needs_that_gpus_memory(driver: Path, tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m", {"PATH": f"{driver}:{os.environ['PATH']}"}, limit_mb=10)
    on_gpu = target(device="cuda:0", memory_mb=1500)
    assert asyncio.run(memory.lack_mb(on_gpu, [])) == 500
    assert asyncio.run(memory.lack_mb(target(device="cuda:1", memory_mb=1500), [])) == 0
    assert memory.fits_beside(on_gpu, []), "the host's limit is not the GPU's"


def test_a_driver_that_fails_says_nothing(tmp_path: Path) -> None:
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\nexit 9\n")
    program.chmod(0o755)
    broken = Driver({"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert not broken.present
    assert asyncio.run(broken.free_mb("cuda:0")) is None


def test_what_is_being_loaded_has_its_memory_reserved(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "m", {}, limit_mb=None)
    half = host_free_mb() * 6 // 10
    wanted, other = target("echo", memory_mb=half), target("echo-slow", memory_mb=half)
    assert asyncio.run(memory.lack_mb(wanted, [Held(target=other, ready=1, making=0)])) == 0
    assert asyncio.run(memory.lack_mb(wanted, [Held(target=other, ready=0, making=1)])) > 0


def test_what_the_provider_says_comes_before_what_was_measured(tmp_path: Path) -> None:
    record = tmp_path / "data" / "measured.json"
    memory = Memory(record, {})
    asyncio.run(memory.note(target("echo"), os.getpid()))
    assert memory.needed_mb(target("echo")) == pytest.approx(taken_mb(os.getpid()), abs=60)
    assert memory.needed_mb(target("echo", memory_mb=7)) == 7
    assert memory.needed_mb(target("echo", device="cuda:0")) == 0, "another device is another measure"
    assert Memory(record, {}).needed_mb(target("echo")) == memory.needed_mb(target("echo"))


@pytest.mark.parametrize("content", [b"", b"{", b'{"a": 3}', b"\xff\xfe"])
def test_a_record_nobody_can_read_is_as_none(tmp_path: Path, content: bytes) -> None:
    record = tmp_path / "measured.json"
    record.write_bytes(content)
    memory = Memory(record, {})
    asyncio.run(memory.note(target("echo"), os.getpid()))
    assert Memory(record, {}).needed_mb(target("echo")) > 0


def test_a_record_that_cannot_be_kept_harms_nobody(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    memory = Memory(tmp_path / "file" / "measured.json", {})
    asyncio.run(memory.note(target("echo"), os.getpid()))
    assert memory.needed_mb(target("echo")) > 0
