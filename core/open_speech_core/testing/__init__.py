"""The conformance kit: the laws of the contract as functions a plugin's tests call.

What our own plugins pass is what outsiders run::

    from open_speech_core.testing import cases, check_plugin

    def test_my_plugin_keeps_the_laws() -> None:
        check_plugin("my_plugin")

    @pytest.mark.parametrize("case", cases("my_plugin"))
    def test_my_engines_keep_the_laws(case: Case) -> None:
        case.check()

A broken law raises ``Violation``, which names it; a kept one is in the ``Report``.
"""

from __future__ import annotations

from open_speech_core.testing.cases import Case, cases, every_case
from open_speech_core.testing.diarizer import check_diarizer
from open_speech_core.testing.laws import Report, Violation
from open_speech_core.testing.plugin import check_plugin, check_provider
from open_speech_core.testing.sessions import check_detector, check_processor
from open_speech_core.testing.synthesizer import check_synthesizer
from open_speech_core.testing.transcriber import check_transcriber

__all__ = [
    "Case",
    "Report",
    "Violation",
    "cases",
    "check_detector",
    "check_diarizer",
    "check_plugin",
    "check_processor",
    "check_provider",
    "check_synthesizer",
    "check_transcriber",
    "every_case",
]
