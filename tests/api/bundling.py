"""What bundles are made of in tests: wheels of what is installed here, and a plugin that says what its weights say."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import Distribution, distribution
from pathlib import Path

from msgspec import Struct
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MODEL = "org/teller"
SAID = b"what the weights say"
FILES = {"config.json": b'{"rate": 16000}', "weights.bin": SAID + bytes(3000)}
SECRET = "hf_secret_of_the_owner"
LICENCE_TEXT = "Do with it what you like, in Python or elsewhere."
PLUGIN = """
import shutil
from pathlib import Path
from open_speech_core import hub
from open_speech_core.errors import WeightsMissing
from open_speech_core.hookspecs import hookimpl
from open_speech_core.providers import Transcriber, TranscriberEngine
from open_speech_core.types import Artifacts, Capabilities, Info, Model, ProviderInfo, Segment

FILES = ("config.json", "weights.bin")

class Teller(TranscriberEngine):
    def __init__(self, text):
        self.text = text
    def transcribe(self, request, context):
        yield Info(language="en")
        yield Segment(start=0.0, end=0.1, text=self.text)

class Provider(Transcriber):
    info = ProviderInfo(name="NAME", title="NAME", licence="MIT", environment=hub.ENVIRONMENT)
    capabilities = Capabilities(weight="light")
    def models(self):
        return tuple(
            Model(id=id, kind="transcriber", rate=16000, bytes=3000, licence="CC0-1.0")
            for id in ("org/teller", "org/other")
        )
    def folder(self, model):
        return self.home / hub.folder_name(model.id)
    def artifacts(self, model):
        whole = hub.has_files(self.folder(model), FILES)
        return Artifacts(paths=(str(self.folder(model)),) if whole else (), complete=whole)
    def download(self, model, context):
        (self.home / "list-of-the-hub.json").parent.mkdir(parents=True, exist_ok=True)
        (self.home / "list-of-the-hub.json").write_text("{}")
        part = self.home / f".{hub.folder_name(model.id)}.part"
        hub.fetch(model.id, FILES, part, context, required=FILES)
        part.rename(self.folder(model))
    def load(self, spec):
        folder = Path(self.home, hub.folder_name(spec.model.id))
        if not hub.has_files(folder, FILES):
            raise WeightsMissing("they are not here")
        return Teller((folder / "weights.bin").read_bytes().rstrip(bytes(1)).decode())

@hookimpl
def open_speech_register_transcribers():
    return [Provider]
"""


class Things(Struct, frozen=True, kw_only=True):
    """What a connected machine has."""

    index: Path
    """Wheels of third parties."""
    house: Path
    """Wheels of ours."""
    catalogue: Path
    plugins: Path
    """Folder in which provider ``teller`` is installed as an owner would have it."""

    def environ(self, hub_url: str = "http://127.0.0.1:1", *, has_teller: bool = True) -> dict[str, str]:
        """Give the environment of a command on that machine."""
        path = [str(self.plugins)] if has_teller else []
        return {
            **self.server_environ(),
            "OS_WHEELHOUSE": str(self.house),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(self.index),
            "PYTHONPATH": os.pathsep.join([*path, str(ROOT / "tests")]),
            "HF_ENDPOINT": hub_url,
            "HF_TOKEN": SECRET,
            "HF_HOME": str(self.index.parent / "hf"),
        }

    def server_environ(self) -> dict[str, str]:
        return {"OS_PROVIDER_CATALOGUE": str(self.catalogue)}


def make_things(top: Path) -> Things:
    """Make wheels and a catalogue of two providers: ``teller``, and ``fetcher``, which brings the hub's client."""
    index, house, plugins = top / "index", top / "house", top / "plugins"
    for folder in (index, house, plugins):
        folder.mkdir()
    lean = repack(("msgspec", "numpy", "pluggy"), index)
    full = lean | repack(("huggingface-hub",), index)
    build(house, "core")
    # A line for another system, as universal files have them.
    elsewhere = f"only-there==9.9 ; sys_platform == 'win32' --hash=sha256:{'0' * 64}\n"
    entries: list[dict[str, object]] = []
    for name, pins in (("teller", lean), ("fetcher", full)):
        own = make_wheel(
            house,
            f"tiny-{name}",
            files={f"tiny_{name}/__init__.py": PLUGIN.replace("NAME", name)},
            requires=("open-speech-core>=1.0", *(("huggingface-hub",) if name == "fetcher" else ())),
            entry_point=f"{name} = tiny_{name}",
        )
        if name == "teller":
            zipfile.ZipFile(own).extractall(plugins)
        (top / f"{name}.txt").write_text(elsewhere + "".join(map(pinned, sorted(pins))))
        entries.append(entry(name, models=[MODEL] if name == "teller" else []))
    (top / "catalogue.json").write_text(json.dumps(entries))
    return Things(index=index, house=house, catalogue=top / "catalogue.json", plugins=plugins)


def entry(name: str, **more: object) -> dict[str, object]:
    return {
        "name": name,
        "title": name,
        "kinds": ["transcriber"],
        "distribution": f"tiny-{name}",
        "version": "1.0",
        "module": f"tiny_{name}",
        "requirements": f"{name}.txt",
        "python": ">=3.11,<3.15",
        "licence": "MIT",
        **more,
    }


def pinned(wheel: Path, marker: str = "") -> str:
    """Give the line that requires exactly this wheel."""
    name, version = wheel.name.split("-")[:2]
    condition = f" ; {marker}" if marker else ""
    return f"{name.replace('_', '-')}=={version}{condition} \\\n    --hash=sha256:{sha256(wheel)}\n"


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def build(house: Path, *folders: str) -> None:
    """Build wheels of folders of this project."""
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "-w", str(house)]
    subprocess.run([*command, *(str(ROOT / folder) for folder in folders)], check=True)


def make_wheel(
    folder: Path,
    name: str,
    *,
    version: str = "1.0",
    tag: str = "py3-none-any",
    files: Mapping[str, str] | None = None,
    requires: Sequence[str] = (),
    entry_point: str = "",
) -> Path:
    """Write a wheel by hand."""
    package = name.replace("-", "_")
    info = f"{package}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\nLicense-Expression: CC0-1.0"]
    metadata += [f"Requires-Dist: {each}" for each in requires]
    contents = {
        **(files or {f"{package}.py": ""}),
        f"{info}/METADATA": "\n".join(metadata) + "\n",
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/licenses/LICENSE": LICENCE_TEXT,
        f"{info}/entry_points.txt": f"[open_speech]\n{entry_point}\n" if entry_point else "",
    }
    return _write(folder / f"{package}-{version}-{tag}.whl", info, {k: v.encode() for k, v in contents.items()})


def repack(names: Iterable[str], folder: Path) -> frozenset[Path]:
    """Make wheels of distributions that are installed here, and of all they need."""
    made: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = canonicalize_name(waiting.pop())
        if name in made or name.startswith("open-speech"):
            continue
        found = distribution(name)
        made[name] = _repack(found, folder)
        for text in found.requires or ():
            wanted = Requirement(text)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return frozenset(made.values())


def _repack(found: Distribution, folder: Path) -> Path:
    wheel = found.read_text("WHEEL") or ""
    tags = [line.partition(": ")[2].split("-") for line in wheel.splitlines() if line.startswith("Tag: ")]
    tag = "-".join(".".join(dict.fromkeys(part)) for part in zip(*tags, strict=True))
    stem = f"{found.metadata['Name'].replace('-', '_').replace('.', '_')}-{found.version}"
    contents: dict[str, bytes] = {}
    info = ""
    for file in found.files or ():
        name = file.as_posix()
        if name.endswith(("/WHEEL", "\\WHEEL")):
            info = name.partition("/")[0]
        if not name.startswith("..") and "__pycache__" not in name and not name.endswith("/RECORD"):
            contents[name] = file.locate().read_bytes()
    target = folder / f"{stem}-{tag}.whl"
    return target if target.exists() else _write(target, info, contents)


def _write(target: Path, info: str, contents: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in contents.items():
            archive.writestr(zipfile.ZipInfo(name), content)
        record = "".join(f"{name},,\n" for name in (*contents, f"{info}/RECORD"))
        archive.writestr(zipfile.ZipInfo(f"{info}/RECORD"), record)
    return target
