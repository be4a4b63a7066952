"""``python convert.py FILE.onnx``: make the encoder's graph from the weights in Resemblyzer's own package.

Needs torch, librosa, onnx and resemblyzer; of the last only its file of weights is read.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import librosa  # noqa: TID253
import torch  # noqa: TID253
from torch import nn  # noqa: TID253

RATE, WINDOW, MELS, SIZE, LAYERS = 16_000, 400, 40, 256, 3


class Encoder(nn.Module):
    """``resemblyzer.VoiceEncoder`` with the mel filters before it; its power spectra are ``(n, frames, 201)``."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(MELS, SIZE, LAYERS, batch_first=True)
        self.linear = nn.Linear(SIZE, SIZE)
        filters = librosa.filters.mel(sr=RATE, n_fft=WINDOW, n_mels=MELS)
        self.register_buffer("filters", torch.from_numpy(filters.T.copy()).float(), persistent=False)

    def forward(self, power: torch.Tensor) -> torch.Tensor:
        _, (hidden, _) = self.lstm(power @ self.filters)
        found = torch.relu(self.linear(hidden[-1]))
        return found / torch.clamp(torch.norm(found, dim=1, keepdim=True), min=1e-9)


def main() -> None:
    spec = find_spec("resemblyzer")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).with_name("pretrained.pt")
    state = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
    encoder = Encoder()
    # The file also holds what only training needs.
    encoder.load_state_dict({name: state[name] for name in encoder.state_dict()})
    torch.onnx.export(
        encoder.eval(),
        (torch.rand(2, 160, 201),),
        sys.argv[1],
        input_names=["power"],
        output_names=["voices"],
        dynamic_axes={"power": {0: "n", 1: "frames"}, "voices": {0: "n"}},
        opset_version=17,
        dynamo=False,
    )


if __name__ == "__main__":
    main()
