"""The table of the documentation: the part of a page between two markers, written from a report."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from .machine import QUIET_PERCENT
from .results import Report, Result, bound, interval, number, verdict

BEGIN = "<!-- benchmark: begin -->"
END = "<!-- benchmark: end -->"


def write(page: Path, report: Report) -> None:
    """Replace what is between the markers. Raises ``ValueError`` when they are not there."""
    text = page.read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        raise ValueError(f"{page.name} must hold the lines {BEGIN} and {END} once")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = page.with_name(f".{page.name}.part")
    made.write_text(f"{before}{BEGIN}\n\n{render(report)}\n{END}{after}")
    made.replace(page)


def render(report: Report) -> str:
    """Give the part as Markdown."""
    return "\n".join([*_head(report), *_table(report.results), "", *_notes(report.results), *_failures(report)])


def _head(report: Report) -> list[str]:
    machine = report.machine
    libraries = ", ".join(f"{name} {number}" for name, number in sorted(machine.libraries.items()))
    lines = [
        "```",
        report.command,
        "```",
        "",
        f"{report.started[:10]}, on {machine.cores} cores of {machine.processor} with {machine.memory_gb:g} GB, no GPU "
        f"used; {machine.system}, Python {machine.python}; {libraries}.",
        "",
    ]
    doubts = []
    if report.quick:
        doubts.append("taken in the short form, with few samples")
    if machine.busy_percent > QUIET_PERCENT:
        doubts.append(f"other programs used up to {machine.busy_percent:.0f} % of the processor")
    if doubts:
        lines += [f"**Preliminary**: {'; '.join(doubts)}.", ""]
    return lines


def _table(results: tuple[Result, ...]) -> list[str]:
    lines = ["| what | measured | 95 % interval | bound | met |", "|---|---:|---|---|---|"]
    for result in results:
        measured = f"{number(result.value, result.unit)} {unit(result)}"
        cells = (result.name, measured, interval(result), bound(result), verdict(result))
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def unit(result: Result) -> str:
    return "times" if result.unit == "x" else result.unit


def _notes(results: tuple[Result, ...]) -> list[str]:
    """List what belongs to each measurement's numbers, each remark once, under the command that repeats it."""
    lines: list[str] = []
    for command, group in groupby(results, key=lambda result: result.command):
        lines += [f"`{command}`", ""]
        said: set[str] = set()
        for result in group:
            new = [note for note in result.notes if note not in said]
            said.update(new)
            if new:
                lines.append(f"- *{result.name.partition('/')[2]}* ({_count(result)}): {'; '.join(new)}")
        lines.append("")
    return lines


def _count(result: Result) -> str:
    return "one reading" if result.samples == 1 else f"{result.samples} samples"


def _failures(report: Report) -> list[str]:
    return [f"- **not measured**: {failure}" for failure in report.failures]
