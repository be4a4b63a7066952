"""What models need and what is free, host and GPU apart.

A model needs what its provider says, else what it took when it was last loaded on the same device with the same
compute type, else nobody knows and it is let in.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from open_speech_core.remote import write_whole
from open_speech_core.types import LoadSpec

from .free_memory import container_free_mb, host_free_mb, taken_mb
from .target import Target

log = logging.getLogger(__name__)

DRIVER_TIMEOUT_S = 10.0


class Held(Struct, frozen=True, kw_only=True):
    """A model's replicas, those that are ready and those in the making."""

    target: Target
    ready: int
    making: int


class Measured(Struct, frozen=True, kw_only=True):
    """Memory of one replica, in MB."""

    host: int = 0
    gpu: int = 0


class Memory:
    """Decides whether a model fits. Belongs to the event loop; what reads many files runs on a thread."""

    def __init__(self, record: Path, environ: Mapping[str, str], limit_mb: int | None = None) -> None:
        self._record = record
        self._limit_mb = limit_mb
        self._driver = Driver(environ)
        self._measured = _read(record)

    def prepare(self) -> None:
        """Ask for the GPUs once, before anybody waits for that. Blocks."""
        _ = self._driver.present

    def device(self, target: Target) -> str:
        """Give ``cpu`` or ``cuda:N``: whose memory the model takes."""
        return self._device(target.spec.load)

    def _device(self, load: LoadSpec) -> str:
        asked = load.device
        if asked == "auto":
            asked = "cuda" if self._driver.present else "cpu"
        return "cuda:0" if asked == "cuda" else asked

    def needed_mb(self, target: Target) -> int:
        """Give what one replica takes on its device; 0 when that is unknown."""
        return self.needed_of(target.key, target.spec.load)

    def needed_of(self, key: str, load: LoadSpec) -> int:
        """Give what one replica of a model would take, loaded so."""
        if (said := load.model.memory_mb) > 0:
            return said
        measured = self._measured.get(self._name(key, load), Measured())
        return measured.host if self._device(load) == "cpu" else measured.gpu

    async def lack_mb(self, target: Target, others: Sequence[Held]) -> int:
        """Give what is missing for one more replica; nothing lacks where need or room are unknown."""
        needed, device = self.needed_mb(target), self.device(target)
        if not needed:
            return 0
        free = self._host_free_mb(others) if device == "cpu" else await self._driver.free_mb(device)
        return 0 if free is None else max(0, needed - free)

    def fits_beside(self, target: Target, others: Sequence[Held]) -> bool:
        """Say whether a further replica fits, for models on the host; those on a GPU have but one."""
        return self.device(target) != "cpu" or self.needed_mb(target) <= self._host_free_mb(others)

    async def note(self, target: Target, pid: int) -> None:
        """Measure a replica and keep that for later."""
        host = await asyncio.to_thread(taken_mb, pid)
        gpu = 0 if self.device(target) == "cpu" else await self._driver.taken_mb(pid)
        name, now = self._name(target.key, target.spec.load), Measured(host=host, gpu=gpu)
        if host and now != self._measured.get(name):
            self._measured[name] = now
            try:
                await asyncio.to_thread(self._keep, msgspec.json.format(msgspec.json.encode(self._measured)))
            except OSError as error:
                log.warning("what models take cannot be kept: %s", error.strerror)

    def _keep(self, content: bytes) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._record, content)

    def _host_free_mb(self, others: Sequence[Held]) -> int:
        here = [(self.needed_mb(held.target), held) for held in others if self.device(held.target) == "cpu"]
        container = container_free_mb()
        free = host_free_mb() if container is None else min(host_free_mb(), container)
        # What is being loaded has not taken its memory yet.
        free -= sum(needed * held.making for needed, held in here)
        if self._limit_mb is not None:
            free = min(free, self._limit_mb - sum(needed * (held.ready + held.making) for needed, held in here))
        return free

    def _name(self, key: str, load: LoadSpec) -> str:
        return f"{key}|{self._device(load)}|{load.compute_type}"


class Driver:
    """The GPU's driver, asked through its own program, since nothing else here knows CUDA."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._program = shutil.which("nvidia-smi", path=environ.get("PATH"))
        self._visible = environ.get("CUDA_VISIBLE_DEVICES")
        self._environ = dict(environ)
        self._present: bool | None = None

    @property
    def present(self) -> bool:
        """There is a GPU that may be used."""
        if self._present is None:
            self._present = self._program is not None and self._visible not in ("", "-1") and bool(self._list())
        return self._present

    async def free_mb(self, device: str) -> int | None:
        """Give what is free on ``cuda:N``; None when the driver does not say."""
        lines = await self._query("--query-gpu=index,uuid,memory.free")
        chosen = self._chosen(int(device.partition(":")[2] or 0))
        for index, uuid, free in lines:
            if chosen in (index, uuid) and free.isdigit():
                return int(free)
        return None

    async def taken_mb(self, pid: int) -> int:
        """Give what a process takes on all GPUs; 0 when the driver does not say, as in most containers."""
        lines = await self._query("--query-compute-apps=pid,gpu_uuid,used_memory")
        return sum(int(used) for of, _, used in lines if of == str(pid) and used.isdigit())

    def _chosen(self, number: int) -> str:
        """Turn a number among the visible GPUs into the driver's index or id."""
        visible = [each.strip() for each in (self._visible or "").split(",") if each.strip()]
        return visible[number] if number < len(visible) else str(number)

    def _list(self) -> str:
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = [self._program or "", "--list-gpus"]
            answer = subprocess.run(asked, env=self._environ, capture_output=True, timeout=DRIVER_TIMEOUT_S, check=True)
            return answer.stdout.decode().strip()
        return ""

    async def _query(self, what: str) -> list[tuple[str, str, str]]:
        if self._program is None:
            return []
        command = (self._program, what, "--format=csv,noheader,nounits")
        try:
            asked = await asyncio.create_subprocess_exec(
                *command, env=self._environ, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
            )
            try:
                async with asyncio.timeout(DRIVER_TIMEOUT_S):
                    answer, _ = await asked.communicate()
            except TimeoutError:
                asked.kill()
                await asked.wait()
                return []
        except OSError:
            return []
        lines = (tuple(cell.strip() for cell in line.split(",")) for line in answer.decode().splitlines())
        return [(cells[0], cells[1], cells[2]) for cells in lines if len(cells) == 3]


def _read(record: Path) -> dict[str, Measured]:
    """Read what was measured; a file nobody can read is as none."""
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        return msgspec.json.decode(record.read_bytes(), type=dict[str, Measured])
    return {}
