"""What the pages say is so: made parts are fresh, links lead somewhere, names exist, nothing is missing."""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from pathlib import Path

import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.routes import HTTPRoute

from docs.pages import DOCS, PAGES, README, RENEW, ROOT, blocks, command_names, links, parts, renewed
from open_speech_api.app import CONTROLLERS
from open_speech_api.errors import table
from open_speech_api.schema import INJECTED
from open_speech_api.security.gate import is_open
from open_speech_api.settings.environment import OLD_NAMES, variables
from open_speech_core import hookspecs

TWO_COMMANDS = {
    'python3 -m venv .venv && .venv/bin/pip install ".[starter]" && .venv/bin/open-speech serve',
    "python3 -m venv .venv && .venv/bin/pip install nox && .venv/bin/nox -s tests",
}
NOT_SETTINGS = {"OS_URL"}
"""Variables of ours that are read by the command alone."""
RUN_ELSEWHERE = {
    "README.md", "docs/using.md", "docs/voices.md", "docs/writing-a-plugin.md", "docs/troubleshooting.md",
}  # fmt: skip
"""Pages whose bash blocks ``test_examples`` and ``test_plugin`` run."""
FOREIGN = re.compile(r"(?<![\w.])/(work|tmp|root|home|opt|var)/|\bpypi\b|pythonhosted|npmjs|registry\.", re.IGNORECASE)

page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@page
def test_made_parts_are_as_the_code_would_make_them_now(page: Path) -> None:
    assert read(page) == renewed(page), f"{page.name} is old; {RENEW}"


@page
def test_links_lead_to_what_is_there(page: Path) -> None:
    for link in links(page):
        target, _, anchor = link.partition("#")
        if "://" in target:
            continue
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{page.name} links to {link}"
        assert not anchor or anchor in headings(path), f"{page.name} links to {link}"


def headings(page: Path) -> set[str]:
    """Give the anchors of a page's headings as forges make them."""
    titles = re.findall(r"^#+ (.+)$", read(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@page
def test_no_page_names_a_machine_or_a_registry(page: Path) -> None:
    assert not FOREIGN.findall(read(page))


@page
def test_settings_routes_and_commands_that_are_named_exist(page: Path) -> None:
    text = read(page)
    known = {variable.name for variable in variables()} | set(OLD_NAMES.values()) | NOT_SETTINGS
    assert set(re.findall(r"\b(?:OS|STT|TTS)_[A-Z][A-Z_]*[A-Z]\b", text)) <= known
    named = set(re.findall(r"(?<![\w.])/v1(?:/[a-z]+)+", text))
    assert named <= {path for _, path in routes()} | {"/v1/models"}
    commands = {" ".join(words) for words in command_names()}
    said = re.findall(r"(?:`|/|^|&& )open-speech (?!core|api|static)([a-z]+(?: download)?)\b", text, re.MULTILINE)
    assert set(said) <= commands


def test_every_page_is_listed_in_the_index() -> None:
    listed = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "index.md")}
    assert {page.resolve() for page in PAGES} - listed - {DOCS / "index.md"} == set()


def test_the_readme_has_its_two_commands_word_for_word() -> None:
    assert {block.text.strip() for block in blocks(README)} >= TWO_COMMANDS


def test_every_block_of_code_is_a_file_or_is_run() -> None:
    for block in chain.from_iterable(map(blocks, PAGES)):
        if block.language == "python":
            assert block.made or block.page == "README.md", f"{block} is run by no test; put it into docs/examples"
        if block.language == "bash":
            assert block.page in RUN_ELSEWHERE, f"{block} is run by no test; `sh` is for what cannot be run"


def test_every_example_is_on_a_page() -> None:
    shown = {what.removeprefix("file ") for page in PAGES for what in parts(page) if what.startswith("file ")}
    files = [*DOCS.glob("examples/**/*.py"), *DOCS.glob("examples/**/*.toml")]
    assert {file.relative_to(DOCS).as_posix() for file in files} == shown


def test_every_setting_is_documented() -> None:
    text = read(DOCS / "settings.md")
    missing = [variable.name for variable in variables() if f"| `{variable.name}` |" not in text]
    assert not missing, f"docs/settings.md lacks {missing}; {RENEW}"


def test_every_error_is_documented() -> None:
    text = read(DOCS / "errors.md")
    missing = [code for code, _, _ in table() if f"`{code}`" not in text]
    assert not missing, f"docs/errors.md lacks {missing}; {RENEW}"


def test_every_command_is_documented() -> None:
    missing = [words for words in command_names() if " ".join(("## open-speech", *words)) not in read(DOCS / "cli.md")]
    assert not missing, f"docs/cli.md lacks {missing}; {RENEW}"


def test_every_hook_is_documented_with_an_example() -> None:
    sections = re.split(r"^## ", read(DOCS / "hooks.md"), flags=re.MULTILINE)[1:]
    documented = {section.split("`")[1]: section for section in sections}
    hooks = {name for name in vars(hookspecs) if name.startswith("open_speech_")}
    assert set(documented) == hooks
    for hook, section in documented.items():
        assert "<!-- begin file examples/hooks/" in section, f"{hook} has no example"
        assert f"def {hook}(" in section, f"the example of {hook} does not implement it"


@cache
def routes() -> frozenset[tuple[str, str]]:
    """Give method and path of every route; a parameter is ``{}``."""
    injected = {name: Provide(lambda: None, sync_to_thread=False) for name in INJECTED}
    found = Litestar(CONTROLLERS, openapi_config=None, dependencies=injected).routes
    return frozenset(
        (method, re.sub(r"\{[^}]*\}", "{}", route.path))
        for route in found
        if isinstance(route, HTTPRoute)
        for method in route.methods
        if method not in ("HEAD", "OPTIONS")
    )


def test_every_route_is_documented_and_whether_it_is_open() -> None:
    rows = re.findall(r"^\| ([A-Z]+) \| `(\S+)` \| (open)? ?\|", read(DOCS / "api.md"), re.MULTILINE)
    assert {(method, re.sub(r"\{[^}]*\}", "{}", path)) for method, path, _ in rows} == routes()
    for method, path, openness in rows:
        sent = path.replace("{file}", "a.js").replace("{id}", "m")
        assert is_open("http", method, sent) == bool(openness), f"{method} {path}"


def test_the_list_of_open_routes_is_the_gate_s() -> None:
    section = read(DOCS / "deploy.md").partition("| open to everyone |")[2].partition("\n\n")[0]
    open_paths = {
        path for _, path in routes() if is_open("http", "GET", path.replace("{}", "a.js")) and "{}" not in path
    }
    assert set(re.findall(r"`(/\S*)`", section)) == open_paths


def test_links_of_every_distribution_lead_to_what_is_there() -> None:
    for readme in [*ROOT.glob("*/README.md"), *ROOT.glob("plugins/*/README.md")]:
        for link in links(readme):
            assert "://" in link or (readme.parent / link.partition("#")[0]).exists(), f"{readme}: {link}"
