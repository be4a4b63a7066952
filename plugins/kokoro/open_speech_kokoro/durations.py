"""Durations of an ONNX export: its own output, else the tensor in the graph from which it makes the alignment."""

from __future__ import annotations

OUTPUT = "duration"
"""What exports call it that report durations."""
HIDDEN = (b"/encoder/Clip_output_0", b"/Clip_output_0")
"""Tensor of the frames of each token, as the usual exports name it: ``clamp(round(durations), 1)``."""

_GRAPH, _OUTPUT, _NAME = 7, 12, 1
"""Fields of ModelProto, GraphProto and ValueInfoProto (onnx.proto)."""
_LENGTH_DELIMITED = 2


def hidden_tensor(model: bytes) -> bytes | None:
    """Find the tensor in a model's bytes; None where it goes by another name."""
    return next((name for name in HIDDEN if name in model), None)


def reveal(model: bytes, tensor: bytes) -> bytes:
    """Make a tensor of the graph an output.

    A serialised message with another behind it is the two merged, repeated fields one after the other
    (https://protobuf.dev/programming-guides/encoding/#last-one-wins), so the graph is neither read nor rewritten.
    """
    return model + _field(_GRAPH, _field(_OUTPUT, _field(_NAME, tensor)))


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    parts = bytearray()
    while number > 0x7F:
        parts.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*parts, number])
