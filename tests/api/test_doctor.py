"""The doctor: what it finds, and what it says of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import structs

from api.test_cli import run
from open_speech_api.doctor import Finding, KindReport, Machine, ModelReport, Report, examine, render
from open_speech_api.doctor.advice import advise
from open_speech_api.doctor.machine import find_gpus, free_disk_mb, free_memory_mb
from open_speech_api.doctor.report import Gpu
from open_speech_api.settings import ServerSettings, Settings, SttSettings, TtsSettings, read_settings
from open_speech_core.plugins import PluginRecord, discover
from open_speech_core.registry import Registry, build_registry
from open_speech_core.types import Kind

CPU = Machine(cores=4, memory_mb=8000, load=0.1)
GPU = Machine(cores=4, memory_mb=8000, load=0.1, gpus=(Gpu(name="RTX", memory_mb=8000),))
SMALL = ModelReport(id="small-one", provider="p", on_disk=True, size_mb=70, memory_mb=200)


def kind(of: Kind, model: ModelReport | None = SMALL, **changes: object) -> KindReport:
    report = KindReport(
        kind=of,
        default=model,
        setting=None,
        reason="because",
        device="cpu",
        models=(model,) if model else (),
    )
    return structs.replace(report, **changes)


HEALTHY = Report(
    version="1",
    python="3.11",
    platform="Linux",
    machine=GPU,
    data_dir="/data",
    free_mb=50_000,
    url="http://127.0.0.1:8100",
    plugins=(PluginRecord(name="p", module="p", distribution="p", version="1"),),
    kinds=(kind("transcriber"), kind("synthesizer", voice="v"), kind("detector"), kind("diarizer")),
)
DEFAULTS = Settings()


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return build_registry(discover(["open_speech_echo"]), environ={}, data_dir=tmp_path_factory.mktemp("data"))


def with_kind(part: KindReport) -> Report:
    kinds = tuple(part if other.kind == part.kind else other for other in HEALTHY.kinds)
    return structs.replace(HEALTHY, kinds=kinds)


def on_cpu(report: Report) -> Report:
    return structs.replace(report, machine=CPU)


def said(report: Report, settings: Settings, registry: Registry) -> list[tuple[str, str]]:
    return [(finding.level, finding.text) for finding in advise(report, settings, registry)]


def test_a_healthy_installation_gives_no_finding(registry: Registry) -> None:
    assert said(HEALTHY, DEFAULTS, registry) == []
    assert render(HEALTHY).endswith("\nAll is well.\n")


def test_a_large_model_on_a_cpu_is_slow(registry: Registry) -> None:
    large = structs.replace(SMALL, id="large", size_mb=1600)
    assert (
        "slow",
        "speech to text: large is large for a CPU and may take longer than the audio lasts",
    ) in said(with_kind(kind("transcriber", large)), DEFAULTS, registry)
    on_gpu = with_kind(kind("transcriber", large, device="cuda"))
    assert said(on_gpu, DEFAULTS, registry) == []


def test_a_device_that_is_not_there_is_a_problem(registry: Registry) -> None:
    report = on_cpu(with_kind(kind("transcriber", device="cuda:0")))
    (first, *_) = said(report, DEFAULTS, registry)
    assert first[0] == "problem"
    assert "cuda:0" in first[1]


def test_weights_that_are_missing_are_slow_or_a_problem_by_the_setting(registry: Registry) -> None:
    report = with_kind(kind("synthesizer", structs.replace(SMALL, on_disk=False)))
    ((level, text),) = said(report, DEFAULTS, registry)
    assert (level, text.rpartition(": ")[2]) == ("slow", "open-speech models download small-one")
    assert "(70 MB)" in text
    ((level, text),) = said(report, Settings(server=ServerSettings(auto_download=False)), registry)
    assert (level, text.rpartition(": ")[2]) == ("problem", "open-speech models download small-one")


def test_too_little_memory_or_disk_is_a_problem(registry: Registry) -> None:
    big = structs.replace(SMALL, memory_mb=9000, size_mb=10)
    levels = [
        text for level, text in said(with_kind(kind("transcriber", big)), DEFAULTS, registry) if level == "problem"
    ]
    assert levels == ["speech to text: small-one needs about 9000 MB of memory, 8000 MB are free"]
    missing = with_kind(kind("transcriber", structs.replace(SMALL, on_disk=False, size_mb=400)))
    full = structs.replace(missing, free_mb=800)
    assert ("problem", "800 MB of disk are free in /data; models and uploads need about 900 MB") in said(
        full, DEFAULTS, registry
    )


def test_a_missing_detector_is_slow_unless_it_is_not_wanted(registry: Registry) -> None:
    report = with_kind(kind("detector", None))
    ((level, text),) = said(report, DEFAULTS, registry)
    assert level == "slow"
    assert "open-speech-silero" in text
    assert said(report, read_settings({"STT_VAD_ENABLED": "no"})[0], registry) == []


def test_nothing_to_speak_with_is_a_problem_unless_it_is_switched_off(registry: Registry) -> None:
    report = with_kind(kind("synthesizer", None))
    ((level, text),) = said(report, DEFAULTS, registry)
    assert level == "problem"
    assert "open-speech-piper" in text
    assert said(report, Settings(tts=TtsSettings(enabled=False)), registry) == []


def test_a_model_nobody_knows_is_a_problem(registry: Registry) -> None:
    report = with_kind(kind("transcriber", None, setting="mine"))
    assert said(report, DEFAULTS, registry) == [("problem", "STT_MODEL = 'mine': no installed plugin knows this model")]
    settings = Settings(stt=SttSettings(preload_models=("echo", "no such model")))
    assert said(HEALTHY, settings, registry) == [
        ("problem", "STT_PRELOAD_MODELS: no installed plugin knows the model 'no such model'")
    ]


def test_a_voice_the_model_has_not_is_noted(registry: Registry) -> None:
    ((level, text),) = said(HEALTHY, Settings(tts=TtsSettings(voice="w")), registry)
    assert (level, text) == ("note", "TTS_VOICE = 'w': small-one has no such voice; v speaks")


def test_a_broken_plugin_is_a_problem_with_its_reason(registry: Registry) -> None:
    broken = PluginRecord(name="b", module="b", distribution="open-speech-b", version="2", error="import failed")
    report = structs.replace(HEALTHY, plugins=(broken,))
    assert said(report, DEFAULTS, registry) == [("problem", "plugin b (open-speech-b) is not in use: import failed")]
    assert "open-speech-b 2  ✗ import failed" in render(report)


@pytest.mark.parametrize(
    ("machine", "environ", "part"),
    [
        ({"cores": 1}, {}, "one core"),
        ({"load": 9.5}, {}, "busy: 9.5 processes"),
        ({}, {"OS_WORKER_THREADS": "5"}, "OS_WORKER_THREADS = 5"),
        ({}, {"OS_CORES": "8"}, "OS_CORES = 8"),
        ({}, {"OS_PLACEMENT": "inline"}, "inline"),
    ],
)
def test_what_makes_engines_wait_for_each_other_is_slow(
    registry: Registry, machine: dict[str, float], environ: dict[str, str], part: str
) -> None:
    report = structs.replace(HEALTHY, machine=structs.replace(GPU, **machine))
    ((level, text),) = said(report, read_settings(environ)[0], registry)
    assert level == "slow"
    assert part in text


def test_an_open_server_is_noted(registry: Registry) -> None:
    ((level, text),) = said(HEALTHY, read_settings({"OS_HOST": "0.0.0.0"})[0], registry)
    assert level == "note"
    assert "OS_API_KEY" in text
    assert said(HEALTHY, read_settings({"OS_HOST": "0.0.0.0", "OS_API_KEY": "k"})[0], registry) == []


def test_problems_come_first(registry: Registry) -> None:
    report = on_cpu(with_kind(kind("transcriber", None)))
    levels = [level for level, _ in said(structs.replace(report, free_mb=1), DEFAULTS, registry)]
    assert levels == sorted(levels, key=("problem", "slow", "note").index)
    assert set(levels) == {"problem", "note"}


def test_many_models_are_counted(registry: Registry) -> None:
    many = tuple(structs.replace(SMALL, id=f"m{number}", on_disk=number % 2 == 0) for number in range(40))
    page = render(with_kind(kind("transcriber", models=many)))
    assert "and 8 more are here" in page
    assert "20 more can be fetched" in page


def test_gpus_are_found_by_nvidia_s_own_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_gpus() == ()
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA RTX 4090, 24564'\necho 'Odd, one, [N/A]'\n")
    tool.chmod(0o755)
    assert find_gpus() == (Gpu(name="NVIDIA RTX 4090", memory_mb=24564), Gpu(name="Odd, one", memory_mb=0))
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert find_gpus() == ()


def test_memory_is_bounded_by_the_cgroup(tmp_path: Path) -> None:
    meminfo = tmp_path / "meminfo"
    assert free_memory_mb(meminfo, tmp_path) == 0
    meminfo.write_text("MemTotal: 9000000 kB\nMemAvailable: 5000000 kB\nHugePages_Total: 0\n")
    assert free_memory_mb(meminfo, tmp_path) == 5120
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1\n")
    assert free_memory_mb(meminfo, tmp_path) == 5120
    (tmp_path / "memory.max").write_text("3000000000\n")
    (tmp_path / "memory.current").write_text("1000000000\n")
    assert free_memory_mb(meminfo, tmp_path) == 2000


def test_disk_is_asked_where_the_folder_will_be(tmp_path: Path) -> None:
    assert free_disk_mb(tmp_path / "not" / "yet") == pytest.approx(free_disk_mb(tmp_path), abs=100)
    assert free_disk_mb(tmp_path) > 0


def test_bad_settings_are_reported_and_the_rest_is_examined(tmp_path: Path) -> None:
    report = examine({"OS_PORT": "x", "STT_DEFAULT_MODEL": "echo", "OS_DATA_DIR": str(tmp_path)})
    assert Finding(level="problem", text="OS_PORT = 'x': must be a whole number from 1 to 65535") in report.findings
    assert report.plugins


def test_defaults_and_their_reasons_are_told(tmp_path: Path) -> None:
    environ = {
        "STT_MODEL": "echo",
        "TTS_MODEL": "echo-voice",
        "TTS_VOICE": "high",
        "OS_DATA_DIR": str(tmp_path),
    }
    report = examine(environ)
    page = render(report)
    assert "  default  echo on " in page
    assert ": set by configuration\n" in page
    assert "  default  echo-voice, voice high on " in page
    assert f"  data     {tmp_path}, " in page
    assert list(tmp_path.iterdir()) == []


def test_examining_loads_no_model_library(tmp_path: Path) -> None:
    code = (
        "import os, sys; from open_speech_api.doctor import examine; examine(os.environ); "
        "print([name for name in ('torch', 'onnxruntime', 'ctranslate2', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout == b"[]\n"


def test_the_exit_code_tells_whether_all_works(tmp_path: Path) -> None:
    works = {"STT_MODEL": "echo", "TTS_MODEL": "echo-voice"}
    done = run(tmp_path, "doctor", environ=works)
    assert done.returncode == 0, done.stdout.decode()
    assert "Findings" in done.stdout.decode() or "All is well." in done.stdout.decode()
    done = run(tmp_path, "doctor", environ={**works, "TTS_SPEED": "fast"})
    assert done.returncode == 1
    assert "✗ TTS_SPEED = 'fast': must be a number from 0.25 to 4" in done.stdout.decode()


def test_json_has_the_whole_report(tmp_path: Path) -> None:
    report = json.loads(run(tmp_path, "doctor", "--json").stdout)
    assert {"machine", "plugins", "kinds", "findings"} <= set(report)
    assert report["kinds"][0]["kind"] == "transcriber"


def test_the_settings_page_is_printed(tmp_path: Path) -> None:
    assert "| `OS_PORT` | `8100` |" in run(tmp_path, "doctor", "--settings").stdout.decode()
