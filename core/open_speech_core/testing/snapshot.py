"""The stored schemas of the contract, so that an unintended change of any Struct is seen.

``python -m open_speech_core.testing.snapshot tests/core/schema.json`` accepts the present ones.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from open_speech_core import errors, types
from open_speech_core.worker import protocol

Schemas: TypeAlias = dict[str, Any]


def take() -> Schemas:
    """Give the JSON Schema of every Struct of the contract by its name, and the versions."""
    schemas: Schemas = {
        "API_VERSION": types.API_VERSION,
        "PROTOCOL_VERSION": protocol.PROTOCOL_VERSION,
        "MAX_FRAME_BYTES": protocol.MAX_FRAME_BYTES,
    }
    for module in (types, errors, protocol):
        for cls in _structs(module):
            _, components = msgspec.json.schema_components([cls], ref_template="{name}")
            # A frame is an array on the wire: the schema lists its places, here are their names.
            schema = components[cls.__name__]
            schema["fields"] = list(cls.__struct_fields__)
            schema.pop("description", None)
            schemas[cls.__name__] = schema
    plain: Schemas = msgspec.json.decode(msgspec.json.encode(schemas, order="sorted"))
    return plain


def _structs(module: ModuleType) -> Iterator[type[Struct]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, Struct) and value.__module__ == module.__name__:
            yield value


def changes(old: Schemas, new: Schemas) -> list[str]:
    """Say by name what differs, and in which fields."""
    said: list[str] = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            said.append(f"{name} is gone")
        elif name not in old:
            said.append(f"{name} is new")
        elif old[name] != new[name]:
            said.append(f"{name} changed: {_difference(old[name], new[name])}")
    return said


def _difference(old: Any, new: Any) -> str:
    if isinstance(old, int | list):
        return f"{old!r} is {new!r}"
    gone = [f"lost {field}" for field in old["fields"] if field not in new["fields"]]
    come = [f"got {field}" for field in new["fields"] if field not in old["fields"]]
    was, now = old.get("properties", {}), new.get("properties", {})
    other = [f"{field} is another" for field in was if field in now and was[field] != now[field]]
    return ", ".join(gone + come + other) or "its order, tag or wire form"


def read(path: Path) -> Schemas:
    schemas: Schemas = msgspec.json.decode(path.read_bytes())
    return schemas


def write(path: Path) -> None:
    """Store the present schemas."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(take(), order="sorted"), indent=1) + b"\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
