"""Renew all pages: ``python -m tests.docs``."""

from __future__ import annotations

from .pages import PAGES, ROOT, renewed

for page in PAGES:
    text = renewed(page)
    if not page.exists() or text != page.read_text(encoding="utf-8"):
        page.write_text(text, encoding="utf-8")
        print(f"renewed {page.relative_to(ROOT)}")
