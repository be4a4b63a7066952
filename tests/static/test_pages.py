"""The pages hold under their Content-Security-Policy: nothing inline, nothing from elsewhere."""

from __future__ import annotations

import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from open_speech_static import folder

README = Path(__file__).parents[2] / "static" / "README.md"
PAGES = ["web", "docs"]


class Tags(HTMLParser):
    """Collects tags with their attributes, and the text inside scripts and styles."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inline = ""
        self._inside = ""
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.inline += data.strip()

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def attributes(self, name: str) -> list[str]:
        return [value or "" for _, attrs in self.tags for key, value in attrs.items() if key == name]


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_inline(page: str) -> None:
    tags = Tags(folder() / page / "index.html")
    assert tags.inline == ""
    assert not tags.attributes("style")
    assert not [key for _, attrs in tags.tags for key in attrs if key.startswith("on")]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_a_page_loads_is_in_the_package(page: str) -> None:
    tags = Tags(folder() / page / "index.html")
    loaded = [
        value
        for tag, attrs in tags.tags
        for key, value in attrs.items()
        if (tag, key) in {("script", "src"), ("link", "href")} and value and not value.startswith("data:")
    ]
    assert loaded
    for url in loaded:
        assert url.startswith(f"/{page}/")
        assert (folder() / url.removeprefix("/")).is_file()


def test_scripts_name_only_elements_and_modules_that_exist() -> None:
    web = folder() / "web"
    ids = set(Tags(web / "index.html").attributes("id"))
    for script in web.glob("*.js"):
        source = script.read_text(encoding="utf-8")
        assert set(re.findall(r'\$\("([\w-]+)"\)', source)) <= ids, script.name
        assert all((web / name).is_file() for name in re.findall(r'from "\./([\w.]+)"', source)), script.name


def test_every_control_has_a_name() -> None:
    tags = Tags(folder() / "web" / "index.html")
    labelled = set(tags.attributes("for"))
    source = (folder() / "web" / "index.html").read_text(encoding="utf-8")
    for tag, attrs in tags.tags:
        if tag not in ("input", "select", "textarea"):
            continue
        wrapped = re.search(
            rf"<label[^>]*>(?:(?!</label>).)*<{tag}[^>]*{re.escape(attrs.get('id') or 'name')}", source, re.S
        )
        assert attrs.get("id") in labelled or wrapped, attrs


def test_vendored_explorer_is_the_one_the_readme_names() -> None:
    digest = hashlib.sha256((folder() / "docs" / "openapi-explorer.min.js").read_bytes()).hexdigest()
    assert digest in README.read_text(encoding="utf-8")


def test_no_file_is_over_a_megabyte() -> None:
    assert max(path.stat().st_size for path in folder().rglob("*") if path.is_file()) < 1_000_000
