"""Which wheels and which lines of a requirements file are for which machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.tags import parse_tag

from open_speech_api.bundles.machine import Machine, family, parse_platform, parse_python, this_machine
from open_speech_api.bundles.manifest import BadBundle, is_inside
from open_speech_api.bundles.requirements import check_written, read_pins, write_pins

HASH = "a" * 64


def machine(platform: str, python: str = "3.12") -> Machine:
    return Machine(python=parse_python(python), platforms=parse_platform(platform))


@pytest.mark.parametrize(
    ("platform", "fits", "not_fits"),
    [
        ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux_2_31_x86_64"),
        ("manylinux_2_28_x86_64", "manylinux2014_x86_64", "manylinux_2_28_aarch64"),
        ("manylinux2014_aarch64", "manylinux_2_17_aarch64", "manylinux_2_28_aarch64"),
        ("musllinux_1_2_x86_64", "musllinux_1_1_x86_64", "manylinux_2_17_x86_64"),
        ("macosx_14_0_arm64", "macosx_11_0_arm64", "macosx_15_0_arm64"),
        ("macosx_14_0_arm64", "macosx_11_0_universal2", "macosx_11_0_x86_64"),
    ],
)
def test_wheels_of_older_systems_fit_and_of_newer_ones_do_not(platform: str, fits: str, not_fits: str) -> None:
    tags = machine(platform).tags()
    assert parse_tag(f"cp312-cp312-{fits}") & tags
    assert parse_tag(f"cp38-abi3-{fits}") & tags
    assert parse_tag("py3-none-any") & tags
    assert not parse_tag(f"cp312-cp312-{not_fits}") & tags
    assert not parse_tag(f"cp313-cp313-{fits}") & tags


@pytest.mark.parametrize("text", ["linux_x86_64", "win_amd64", "manylinux_2_x86_64", "any", "", "macosx_14_0_ppc"])
def test_other_platforms_are_refused(text: str) -> None:
    with pytest.raises(BadBundle, match="is no platform we know; one is manylinux_2_28_x86_64"):
        parse_platform(text)


def test_this_machine_runs_its_own_wheels() -> None:
    here = this_machine()
    assert parse_tag("py3-none-any") & here.tags()
    assert family(here.platform) == here.family
    assert "linux_" not in here.platform[:6]


@pytest.mark.parametrize(
    ("platform", "system", "processor"),
    [("manylinux_2_28_aarch64", "linux", "aarch64"), ("macosx_14_0_arm64", "darwin", "arm64")],
)
def test_markers_are_the_other_machine_s(platform: str, system: str, processor: str) -> None:
    markers = machine(platform, "3.13").markers()
    assert (markers["sys_platform"], markers["platform_machine"]) == (system, processor)
    assert markers["python_version"] == "3.13"
    assert markers["python_full_version"].startswith("3.13.")


def test_pins_are_read_as_a_universal_file_has_them(tmp_path: Path) -> None:
    file = tmp_path / "all.txt"
    file.write_text(
        f"# a comment\nOne_Thing==1.0 \\\n    --hash=sha256:{HASH} \\\n    --hash=sha256:{'b' * 64}\n    # via two\n"
        f"two==2.0 ; sys_platform == 'darwin' --hash=sha256:{HASH}\n"
        f"three==3!3.0 ; python_full_version < '3.12' --hash=sha256:{HASH}\n"
    )
    (pin,) = read_pins(file, machine("manylinux_2_28_x86_64"))
    assert (pin.name, pin.version, pin.hashes) == ("one-thing", "1.0", {HASH, "b" * 64})
    assert [pin.name for pin in read_pins(file, machine("macosx_14_0_arm64", "3.11"))] == ["one-thing", "two", "three"]


@pytest.mark.parametrize(
    "line",
    [
        "one==1.0",
        f"one>=1.0 --hash=sha256:{HASH}",
        f"one==1.* --hash=sha256:{HASH}",
        f"one @ http://127.0.0.1/one.whl --hash=sha256:{HASH}",
        "-r other.txt",
        "--index-url http://127.0.0.1",
    ],
)
def test_a_line_that_is_no_pin_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "bad.txt").write_text(f"{line}\n")
    with pytest.raises(BadBundle, match=r"bad\.txt"):
        read_pins(tmp_path / "bad.txt", this_machine())
    with pytest.raises(BadBundle, match=r"bad\.txt holds"):
        check_written(tmp_path / "bad.txt")


def test_what_is_written_is_taken(tmp_path: Path) -> None:
    file = tmp_path / "good.txt"
    file.write_text(f"One_Thing==1.0+cpu.2 --hash=sha256:{HASH}\n")
    write_pins(tmp_path / "written.txt", read_pins(file, this_machine()))
    check_written(tmp_path / "written.txt")
    assert read_pins(tmp_path / "written.txt", this_machine()) == read_pins(file, this_machine())


@given(st.text(alphabet="a./\\\0\n", max_size=12))
def test_a_path_inside_stays_inside(path: str) -> None:
    top = Path("/top")
    if is_inside(path):
        assert (top / path).resolve().is_relative_to(top)
        assert (top / path).as_posix() == f"/top/{path}"
        assert (top / path).resolve() != top
