"""The model on torch, from the weights as they were published."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loguru import logger

from open_speech_core.errors import LoadFailed
from open_speech_core.providers import Context
from open_speech_core.runtimes.torch import cancelled_by, choose_device, import_torchaudio
from open_speech_core.types import LoadSpec

from .packs import Pack
from .runtime import Rendered

log = logging.getLogger(__name__)

REPO = "hexgrad/Kokoro-82M"


def load_torch(files: Sequence[Path], spec: LoadSpec) -> TorchRuntime:
    """Load weights and config; nothing is downloaded. Raises ``LoadFailed``."""
    import_torchaudio()
    from kokoro import KModel

    # It logs what is spoken.
    logger.disable("kokoro")
    device = choose_device(spec.device)
    torch.set_num_threads(spec.threads)
    weights, config = files
    try:
        model: Any = KModel(repo_id=REPO, config=str(config), model=str(weights)).to(device).eval()
    except Exception as error:  # fence: what unpickling, JSON and torch raise of bad files has no base of its own
        log.exception("load of %s failed", spec.model.id)
        raise LoadFailed(f"{spec.model.id!r} could not be loaded; are its files whole?") from error
    return TorchRuntime(model)


class TorchRuntime:
    """One model; its sound has a part of chance, which a seed holds still."""

    has_durations = True
    compute_type = "float32"

    def __init__(self, model: Any) -> None:
        self._model = model
        self.vocab: Mapping[str, int] = model.vocab
        self.device = str(model.device)

    def render(
        self, tokens: Sequence[int], pack: Pack, speed: float, context: Context, *, seed: int | None = None
    ) -> Rendered:
        style = torch.from_numpy(pack[min(len(tokens), len(pack)) - 1].copy())
        ids = torch.tensor([[0, *tokens, 0]], dtype=torch.long)
        chance = torch.random.fork_rng(enabled=seed is not None)
        with torch.inference_mode(), chance, cancelled_by(context, self._model.modules()):
            if seed is not None:
                torch.manual_seed(seed)
            audio, durations = self._model.forward_with_tokens(
                ids.to(self._model.device), style.to(self._model.device), speed
            )
        samples = audio.float().cpu().numpy().reshape(-1)
        return Rendered(samples=samples.astype(np.float32), durations=durations.cpu().numpy().reshape(-1))
