"""The benchmark's own arithmetic: a wrong bound or interval would praise a slow server."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from . import estimates
from .client import parse_timing
from .corpus import Utterance, errors
from .growth import Look, judge
from .machine import Machine
from .page import BEGIN, END, write
from .results import Report, judged, load, save, verdict


def test_a_ratio_is_that_of_the_medians_and_lies_in_its_interval() -> None:
    found = estimates.ratio([2.0, 2.2, 1.8, 2.1, 9.0], [1.0, 1.1, 0.9, 1.0, 1.0])
    assert found.value == pytest.approx(2.1)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= found.value <= found.high


def test_a_slope_is_found_exactly_on_a_line() -> None:
    found = estimates.slope([10.0, 10.5, 11.0, 11.5, 12.0])
    assert found.value == pytest.approx(0.5)
    assert found.low == pytest.approx(0.5)


def test_a_floor_and_a_ceiling_are_judged_the_right_way_round() -> None:
    assert judged("a/b", estimates.single(0.9), "x", at_least=0.95).met is False
    assert judged("a/b", estimates.single(0.9), "x", at_most=0.95).met is True
    assert judged("a/b", estimates.single(0.9), "x").met is None


def test_an_interval_that_holds_the_bound_is_said_to() -> None:
    noisy = judged("a/b", estimates.Estimate(value=1.0, low=0.9, high=1.2, samples=9), "x", at_most=1.1)
    assert verdict(noisy) == "yes, interval reaches over"


def test_server_timing_is_read() -> None:
    timing = parse_timing("queue;dur=0.0, load;dur=1.5, decode;dur=2.0, engine;dur=812.4, encode;dur=0.1")
    assert timing.engine == 812.4
    assert timing.load == 1.5


def test_a_report_survives_and_later_files_win(tmp_path: Path) -> None:
    first = report("2026-01-01T00:00:00Z", 1.0)
    second = report("2026-01-02T00:00:00Z", 2.0)
    merged = load([save(first, tmp_path), save(second, tmp_path)])
    assert [result.value for result in merged.results] == [2.0]
    assert merged.started == second.started


def test_a_failure_stands_until_a_later_file_has_measured_its_part(tmp_path: Path) -> None:
    failed = structs.replace(report("2026-01-01T00:00:00Z", 1.0), failures=("overhead: no", "live: no"))
    later = report("2026-01-02T00:00:00Z", 2.0)
    assert load([save(failed, tmp_path), save(later, tmp_path)]).failures == ("live: no",)
    assert load([save(later, tmp_path), save(failed, tmp_path)]).failures == ("overhead: no", "live: no")


def test_only_what_is_between_the_markers_is_written(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write(page, report("2026-01-01T00:00:00Z", 1.0))
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "old" not in text
    assert "| overhead/x | 1.0 ms |" in text


def test_a_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    page.write_text("nothing\n")
    with pytest.raises(ValueError, match="must hold the lines"):
        write(page, report("2026-01-01T00:00:00Z", 1.0))
    assert page.read_text() == "nothing\n"


@pytest.mark.parametrize(
    ("mb_a_round", "descriptors_a_round", "left", "said"),
    [
        (0.0, 0, (), None),
        (2.0, 0, (), "memory grew"),
        (0.0, 1, (), "descriptors more"),
        (0.0, 0, ("a/upload",), "left in the run folder"),
    ],
)
def test_a_soak_fails_for_what_piles_up(
    mb_a_round: float, descriptors_a_round: int, left: tuple[str, ...], said: str | None
) -> None:
    rounds = [
        Look(
            at_s=number,
            own_mb=100 + number * mb_a_round,
            descriptors=20 + number * descriptors_a_round,
            workers=4,
            leftovers=left,
        )
        for number in range(30)
    ]
    problems = judge(rounds)
    assert bool(problems) == bool(said)
    assert said is None or said in problems[0]


def report(started: str, value: float) -> Report:
    return Report(
        started=started,
        command="python -m tests.bench",
        quick=False,
        machine=Machine(
            processor="a processor",
            cores=2,
            memory_gb=8.0,
            system="Linux",
            python="3.11",
            libraries={"av": "18"},
            busy_percent=0.0,
        ),
        results=(judged("overhead/x", estimates.single(value), "ms", at_most=2.0, notes=["a note"]),),
    )


@pytest.mark.parametrize(
    ("said", "count"),
    [
        ("Mr. Dashwood had 7 clubs!", 0),
        ("mister dashwood had seven close", 1),
        ("dashwood had just seven clubs", 2),
        ("", 5),
    ],
)
def test_word_errors_are_words_put_in_left_out_or_exchanged(said: str, count: int) -> None:
    utterance = Utterance(path=Path(), text="Mister Dashwood had seven clubs", seconds=3.0)
    assert (errors(utterance, said), len(utterance.words)) == (count, 5)
