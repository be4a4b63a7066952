"""What a run found, as Structs, JSON and a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from .estimates import Estimate
from .machine import Machine


class Result(Struct, frozen=True, kw_only=True):
    """One measured number beside its bound."""

    name: str
    value: float
    low: float | None
    high: float | None
    samples: int
    unit: str
    """``ms``, ``s``, ``MB`` (a million bytes), ``MB/round``, ``x`` (a ratio), ``%`` or ``points`` (of percent)."""
    bound: float | None
    """None: for information."""
    at_least: bool
    """The bound is a floor."""
    met: bool | None
    command: str
    notes: tuple[str, ...] = ()

    @property
    def certain(self) -> bool:
        """Say whether the whole interval lies on one side of the bound."""
        if self.bound is None or self.low is None or self.high is None:
            return True
        return not self.low <= self.bound <= self.high


class Report(Struct, frozen=True, kw_only=True):
    """One run of the benchmark."""

    started: str
    """UTC, ISO 8601."""
    command: str
    quick: bool
    machine: Machine
    results: tuple[Result, ...]
    failures: tuple[str, ...] = ()
    """Measurements that could not be taken, and why."""


def judged(
    name: str,
    estimate: Estimate,
    unit: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    notes: Iterable[str] = (),
) -> Result:
    """Put an estimate beside its bound; the measured value decides, the interval says how surely."""
    bound = at_most if at_least is None else at_least
    met = None
    if at_least is not None:
        met = estimate.value >= at_least
    elif at_most is not None:
        met = estimate.value <= at_most
    return Result(
        name=name,
        value=estimate.value,
        low=estimate.low,
        high=estimate.high,
        samples=estimate.samples,
        unit=unit,
        bound=bound,
        at_least=at_least is not None,
        met=met,
        command=f"python -m tests.bench --only {name.partition('/')[0]}",
        notes=tuple(notes),
    )


def save(report: Report, folder: Path) -> Path:
    """Write a report as JSON, named by when it began."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{report.started.replace(':', '').replace('-', '')}.json"
    path.write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n")
    return path


def load(paths: Sequence[Path]) -> Report:
    """Read reports; of results with one name the last file's stands, and its machine."""
    reports = [msgspec.json.decode(path.read_bytes(), type=Report) for path in paths]
    merged = {result.name: result for report in reports for result in report.results}
    return msgspec.structs.replace(
        reports[-1],
        command="\n".join(dict.fromkeys(report.command for report in reports)),
        quick=any(report.quick for report in reports),
        machine=msgspec.structs.replace(
            reports[-1].machine, busy_percent=max(report.machine.busy_percent for report in reports)
        ),
        results=tuple(merged.values()),
        failures=tuple(_left(reports)),
    )


def _left(reports: Sequence[Report]) -> Iterator[str]:
    """Give the failures of parts that no later file has measured."""
    for at, report in enumerate(reports):
        measured = {result.name.partition("/")[0] for later in reports[at + 1 :] for result in later.results}
        yield from (failure for failure in report.failures if failure.partition(":")[0] not in measured)


def number(value: float, unit: str) -> str:
    """Show a number with the digits its unit deserves."""
    digits = {"x": 3, "s": 2, "MB/round": 2, "points": 2}.get(unit, 1)
    return f"{value:,.{digits}f}"


def interval(result: Result) -> str:
    if result.low is None or result.high is None:
        return ""
    return f"{number(result.low, result.unit)} to {number(result.high, result.unit)}"


def bound(result: Result) -> str:
    if result.bound is None:
        return ""
    sign = "≥" if result.at_least else "≤"
    return f"{sign} {number(result.bound, result.unit)}"


def verdict(result: Result) -> str:
    """Say whether the bound is met; a value whose interval reaches over the bound is said to."""
    if result.met is None:
        return ""
    said = "yes" if result.met else "**no**"
    return said if result.certain else f"{said}, interval reaches over"


def table(results: Iterable[Result]) -> str:
    """Lay results out for a terminal."""
    head = ("what", "measured", "95 % interval", "bound", "met")
    rows = [
        (
            result.name,
            f"{number(result.value, result.unit)} {result.unit}",
            interval(result),
            bound(result),
            verdict(result).replace("*", ""),
        )
        for result in results
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, tuple("-" * width for width in widths), *rows]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )
