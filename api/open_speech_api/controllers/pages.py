"""The web page, the API's documentation and its schema: open, from the package, without a CDN."""

from __future__ import annotations

import asyncio
import mimetypes
from pathlib import Path

from litestar import Controller, MediaType, Response, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import Redirect

from open_speech_api.schema import Schema
from open_speech_static import folder

STRICT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; media-src blob: 'self'; "
    "img-src 'self' data:; font-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of the page: nothing inline, nothing from elsewhere."""
DOCS = STRICT.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'")
"""The explorer of the API sets styles on elements."""

mimetypes.add_type("text/javascript", ".js")


class PagesController(Controller):
    include_in_schema = False

    @get("/", sync_to_thread=False)
    def root(self) -> Redirect:
        return Redirect("/web")

    @get("/web")
    async def web(self) -> Response[bytes]:
        return await _page("web", "index.html", STRICT)

    @get("/web/{file:path}")
    async def web_file(self, file: FromPath[str]) -> Response[bytes]:
        return await _page("web", file, STRICT)

    @get("/docs")
    async def docs(self) -> Response[bytes]:
        return await _page("docs", "index.html", DOCS)

    @get("/docs/{file:path}")
    async def docs_file(self, file: FromPath[str]) -> Response[bytes]:
        return await _page("docs", file, DOCS)

    @get("/openapi.json")
    async def openapi(self, schema: NamedDependency[Schema]) -> Response[bytes]:
        """Give the schema of the routes merged with every provider's own fields."""
        return Response(await asyncio.to_thread(schema.document), media_type=MediaType.JSON)


async def _page(part: str, file: str, policy: str) -> Response[bytes]:
    """Read a file of the package. Raises ``NotFoundException``, also for anything outside the part's folder."""
    name = file.strip("/") or "index.html"
    root = folder() / part
    path = root / name
    if not await asyncio.to_thread(_is_inside, root, path):
        raise NotFoundException(f"there is no page {name[:100]!r}")
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return Response(
        await asyncio.to_thread(path.read_bytes),
        media_type=kind,
        headers={
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-cache",
        },
    )


def _is_inside(root: Path, path: Path) -> bool:
    try:
        return path.is_file() and path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):
        return False
