"""A multilingual Whisper with random weights: what it says is noise, but detection and translation really run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 16
HEADS = 2
MELS = 80
MULTILINGUAL_VOCABULARY = 51_866
"""As large-v3 has: by the number of tokens CTranslate2 tells multilingual models from English ones."""


def build(english: Path, folder: Path) -> Path:
    """Write a model of one layer into ``folder``, its tokens taken from those of an English one."""
    from ctranslate2.specs import WhisperSpec

    spec = WhisperSpec(1, HEADS, 1, HEADS)
    random = np.random.default_rng(0)

    def fill(layer: Any, outputs: int, *inputs: int) -> None:
        layer.weight = random.standard_normal((outputs, *inputs)).astype(np.float32)
        layer.bias = np.zeros(outputs, np.float32)

    def norm(*layers: Any) -> None:
        for layer in layers:
            layer.gamma, layer.beta = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)

    def attend(attention: Any, *outputs: int) -> None:
        norm(attention.layer_norm)
        for linear, size in zip(attention.linear, outputs, strict=True):
            fill(linear, size, WIDTH)

    def forward(ffn: Any) -> None:
        norm(ffn.layer_norm)
        fill(ffn.linear_0, 4 * WIDTH, WIDTH)
        fill(ffn.linear_1, WIDTH, 4 * WIDTH)

    encoder, decoder = spec.encoder, spec.decoder
    fill(encoder.conv1, WIDTH, MELS, 3)
    fill(encoder.conv2, WIDTH, WIDTH, 3)
    encoder.position_encodings.encodings = random.standard_normal((1500, WIDTH)).astype(np.float32)
    decoder.position_encodings.encodings = random.standard_normal((448, WIDTH)).astype(np.float32)
    decoder.embeddings.weight = random.standard_normal((MULTILINGUAL_VOCABULARY, WIDTH)).astype(np.float32)
    decoder.projection.weight = decoder.embeddings.weight
    norm(encoder.layer_norm, decoder.layer_norm)
    for layer in (encoder.layer[0], decoder.layer[0]):
        attend(layer.self_attention, 3 * WIDTH, WIDTH)
        forward(layer.ffn)
    attend(decoder.layer[0].attention, WIDTH, 2 * WIDTH, WIDTH)

    tokenizer = json.loads((english / "tokenizer.json").read_text())
    tokens = (english / "vocabulary.txt").read_text().split("\n")[: MULTILINGUAL_VOCABULARY - 1]
    tokens += [f"<|extra{at}|>" for at in range(MULTILINGUAL_VOCABULARY - len(tokens))]
    spec.register_vocabulary(tokens)
    config = json.loads((english / "config.json").read_text())
    for name in ("suppress_ids", "suppress_ids_begin", "lang_ids"):
        setattr(spec.config, name, config[name])
    spec.config.alignment_heads = [(0, 0)]
    spec.validate()
    folder.mkdir()
    spec.save(str(folder))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder
