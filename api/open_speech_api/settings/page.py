"""docs/settings.md, made from the tree so that it cannot be wrong."""

from __future__ import annotations

from itertools import groupby

from .environment import OLD_NAMES, Variable, variables
from .values import expectation, show

HEAD = """\
# Settings

All settings are environment variables. Names may be in any case, an empty value is the same as none, and all
bad values are reported at once when the server starts. Booleans are `true`, `1`, `yes`, `on` and `false`,
`0`, `no`, `off`. This page is made from the code: `open-speech doctor --settings` prints it.
"""

COLUMNS = "| Variable | Default | Value | What it does |\n|---|---|---|---|"


def render_settings_markdown() -> str:
    """Render the page: one table a section, then the old names."""
    parts = [HEAD]
    for section, members in groupby(variables(), key=lambda variable: variable.section):
        title = (section.__doc__ or "").strip().splitlines()[0].rstrip(".")
        rows = [_row(variable) for variable in members]
        parts.append("\n".join([f"## {title}", "", COLUMNS, *rows, ""]))
    known = {variable.name for variable in variables()}
    renamed = [f"| `{old}` | `{new}` |" for new, old in OLD_NAMES.items() if new in known]
    head = ["## Old names", "", "Still understood, with one warning each.", "", "| Old | New |", "|---|---|"]
    parts.append("\n".join([*head, *renamed, ""]))
    return "\n".join(parts)


def _row(variable: Variable) -> str:
    default = show(variable.default)
    cells = (
        f"`{variable.name}`",
        f"`{default}`" if default else "unset",
        expectation(variable.type),
        variable.meta.description,
    )
    return f"| {' | '.join(cells)} |"
