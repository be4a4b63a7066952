"""The contract changes only on purpose."""

from __future__ import annotations

from pathlib import Path

from open_speech_core.testing import snapshot

STORED = Path(__file__).parent / "schema.json"


def test_the_contract_is_what_is_stored() -> None:
    said = snapshot.changes(snapshot.read(STORED), snapshot.take())
    listed = "\n  ".join(said)
    assert not said, (
        f"the contract changed:\n  {listed}\nFields are only added, with defaults. If it is meant, run\n"
        "python -m open_speech_core.testing.snapshot tests/core/schema.json"
    )


def test_a_change_is_named_by_struct_and_field() -> None:
    old = snapshot.take()
    new = snapshot.take()
    del new["Ping"]
    new["Chunk"]["fields"].append("title")
    new["Model"]["fields"].remove("rate")
    del new["Model"]["properties"]["rate"]
    new["Info"]["properties"]["language"] = {"type": "string"}
    new["API_VERSION"] = [1, 1]
    assert snapshot.changes(old, new) == [
        "API_VERSION changed: [1, 0] is [1, 1]",
        "Chunk changed: got title",
        "Info changed: language is another",
        "Model changed: lost rate",
        "Ping is gone",
    ]
