"""``python -m open_speech_core.worker``: the descriptors first, everything else after."""

import os

_channel_in = os.dup(0)
_channel_out = os.dup(1)
os.dup2(2, 1)
_nothing = os.open(os.devnull, os.O_RDONLY)
os.dup2(_nothing, 0)
os.close(_nothing)

from open_speech_core.worker.program import main  # noqa: E402

main(_channel_in, _channel_out)
