"""Every model of a plugin as a pytest parameter."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, structs

from open_speech_core.plugins import discover
from open_speech_core.providers import AnyProvider
from open_speech_core.testing.diarizer import check_diarizer
from open_speech_core.testing.laws import Ledger, Report
from open_speech_core.testing.process import check_process
from open_speech_core.testing.sessions import check_detector, check_processor
from open_speech_core.testing.synthesizer import check_synthesizer
from open_speech_core.testing.transcriber import check_transcriber
from open_speech_core.types import Kind, LoadSpec, Model, ModelSource
from open_speech_core.worker.engines import instantiate

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet

CHECKS: dict[Kind, Callable[..., Report]] = {
    "transcriber": check_transcriber,
    "synthesizer": check_synthesizer,
    "detector": check_detector,
    "diarizer": check_diarizer,
    "processor": check_processor,
}


class Case(Struct, frozen=True, kw_only=True):
    """One model of one provider, ready to be checked."""

    plugin: str
    """Module that registers the provider."""
    provider: AnyProvider
    model: Model
    spec: LoadSpec

    def __str__(self) -> str:
        return f"{self.provider.kind}-{self.provider.info.name}:{self.model.id}"

    def check(self, **more: Any) -> Report:
        """Load it, here and in a worker, and check the laws of its kind.

        ``more`` goes to the check, such as ``speech``, or ``calls=0`` to leave out what takes long.
        """
        report = CHECKS[self.model.kind](self.provider, self.model, spec=self.spec, **more)
        ledger = Ledger(report.subject)
        check_process(self.plugin, self.provider, self.spec, ledger)
        return structs.replace(report, kept=(*report.kept, *ledger.report().kept))


def cases(
    plugin: str, *, sources: Iterable[ModelSource] = (), home: Path | None = None, kind: Kind | None = None
) -> list[ParameterSet]:
    """Give a parameter for every listed model; one whose weights are not on this machine is skipped.

    ``sources`` are further weights, such as a plugin that ships them registers.
    """
    import pytest

    found: list[ParameterSet] = []
    for case, ready in every_case(plugin, sources=sources, home=home):
        if kind is None or case.provider.kind == kind:
            missing = pytest.mark.skip(reason=f"the weights of {case.model.id} are not on this machine")
            found.append(pytest.param(case, id=str(case), marks=() if ready else missing))
    return found


def every_case(
    plugin: str, *, sources: Iterable[ModelSource] = (), home: Path | None = None
) -> Iterator[tuple[Case, bool]]:
    """Give a case for every listed model of a plugin, and whether its weights are on this machine."""
    discovery = discover([plugin])
    for record in discovery.plugins:
        if record.error is not None:
            raise ValueError(f"{plugin} cannot be used: {record.error}")
    root = home or Path(tempfile.gettempdir(), "open-speech-conformance")
    paths: dict[tuple[Kind, str], str] = {}
    for source in (*sources, *discovery.sources):
        paths[source.kind, source.id] = source.path
    for offered in discovery.providers:
        place = root if home is None else root / offered.cls.info.name
        provider = instantiate(offered.cls, place, dict(os.environ))
        for model in _models(provider, paths):
            if model.helper or (model.siblings is not None and model.siblings.named != model.id):
                # Nothing to load, or it has no voices of its own: the listed ones are spoken by its sibling.
                continue
            path = paths.get((model.kind, model.id))
            spec = LoadSpec(model=model, path=path, home=str(place))
            case = Case(plugin=plugin, provider=provider, model=model, spec=spec)
            yield case, path is not None or provider.artifacts(model).complete


def _models(provider: AnyProvider, paths: dict[tuple[Kind, str], str]) -> list[Model]:
    """Give the listed models and those that only a source names."""
    listed = {model.id: model for model in provider.models()}
    for kind, id in paths:
        if kind == provider.kind and id not in listed and (model := provider.resolve(id)) is not None:
            listed[id] = model
    return list(listed.values())
