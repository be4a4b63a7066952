"""Options come from the environment and from requests, and speak of bad values by name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from open_speech_core.errors import InvalidRequest, PluginError
from open_speech_core.options import (
    OptionProblem,
    decode_request_options,
    environment_allowed,
    environment_names,
    failing_param,
    from_environment,
    ignored_fields,
    option_problems,
    parse,
    readable,
    schema_of,
    struct_of,
)
from open_speech_core.types import ProviderInfo


class Sample(Struct, frozen=True, kw_only=True):
    """All that options may be."""

    beam: Annotated[int, Meta(ge=1, le=20, description="Width", extra={"env": "STT_BEAM_SIZE"})] = 5
    device: Literal["cpu", "cuda"] = "cpu"
    speed: Annotated[float, Meta(gt=0)] | None = None
    quiet: bool = False
    words: tuple[Annotated[str, Meta(max_length=5)], ...] = ("a",)
    sizes: list[int] = []
    either: int | str = 3
    shared: Annotated[str | None, Meta(title="Shared", extra={"env": "STT_SHARED"})] = None
    level: Literal[1, 2, 3] | None = 2


def read(**environ: str) -> tuple[Sample, list[OptionProblem]]:
    problems: list[OptionProblem] = []
    return from_environment(Sample, "ECHO_", environ, problems), problems


def test_nothing_set_gives_the_defaults() -> None:
    assert read() == (Sample(), [])


def test_the_own_variable_wins_over_the_shared_one() -> None:
    assert read(STT_BEAM_SIZE="2")[0].beam == 2
    assert read(STT_BEAM_SIZE="2", ECHO_BEAM="3")[0].beam == 3


def test_bytes_that_are_no_text_are_a_problem_and_no_crash() -> None:
    options, problems = read(ECHO_BEAM="\udc80", ECHO_SIZES="1,\udcff")
    assert options == Sample()
    assert [problem.variable for problem in problems] == ["ECHO_BEAM", "ECHO_SIZES"]


def test_an_empty_variable_is_unset() -> None:
    assert read(STT_BEAM_SIZE="2", ECHO_BEAM="  ")[0].beam == 2


def test_a_bad_own_variable_is_not_replaced_by_the_shared_one() -> None:
    options, problems = read(STT_BEAM_SIZE="2", ECHO_BEAM="many")
    assert options.beam == 5
    assert [problem.variable for problem in problems] == ["ECHO_BEAM"]


def test_all_bad_values_are_reported_at_once() -> None:
    options, problems = read(ECHO_BEAM="0", ECHO_DEVICE="tpu", ECHO_SPEED="fast", ECHO_QUIET="yes")
    assert options == Sample(quiet=True)
    assert [(problem.variable, problem.value) for problem in problems] == [
        ("ECHO_BEAM", "0"),
        ("ECHO_DEVICE", "tpu"),
        ("ECHO_SPEED", "fast"),
    ]
    assert problems[0].reason == "Expected `int` >= 1"


@pytest.mark.parametrize("word", ["true", "1", "yes", "on", "TRUE", "On"])
def test_words_for_yes(word: str) -> None:
    assert read(ECHO_QUIET=word)[0].quiet is True


@pytest.mark.parametrize("word", ["false", "0", "no", "off", "False", "OFF"])
def test_words_for_no(word: str) -> None:
    assert parse(word, bool) is False
    assert parse(word, bool | None) is False


def test_lists_are_split_at_commas() -> None:
    options, problems = read(ECHO_WORDS=" a, b,,c ", ECHO_SIZES="1,2")
    assert (options.words, options.sizes, problems) == (("a", "b", "c"), [1, 2], [])


def test_a_bad_part_of_a_list_is_reported() -> None:
    assert read(ECHO_SIZES="1,two")[1][0].reason == "Expected `int`, got `str`"


def test_a_provider_without_prefix_has_only_shared_variables() -> None:
    assert environment_names(Sample, "")["beam"] == ("STT_BEAM_SIZE",)
    assert environment_names(Sample, "")["device"] == ()


def test_a_worker_sees_what_its_provider_declares_and_nothing_else() -> None:
    info = ProviderInfo(name="e", title="E", licence="MIT", env_prefix="ECHO_", environment=("HF_TOKEN",))
    declared = {"ECHO_BEAM": "1", "STT_BEAM_SIZE": "2", "HF_TOKEN": "t", "echo_x": "y"}
    others = {"OS_API_KEY": "secret", "STT_OTHER": "3", "HOME": "/root"}
    assert environment_allowed(info, Sample, {**declared, **others}) == declared


def test_a_request_gives_a_provider_the_fields_it_knows() -> None:
    options = decode_request_options(Sample, {"beam": 7, "model": "m", "device": None}, strict=True)
    assert options == Sample(beam=7)


def test_forms_are_read_from_text_and_json_is_not() -> None:
    assert decode_request_options(Sample, {"beam": "7", "quiet": "true"}, strict=False) == Sample(beam=7, quiet=True)
    with pytest.raises(InvalidRequest):
        decode_request_options(Sample, {"beam": "7"}, strict=True)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"beam": 0}, "beam"),
        ({"device": "tpu"}, "device"),
        ({"words": ["ok", "far too long"]}, "words"),
        ({"sizes": {}}, "sizes"),
        ({"speed": -1.0}, "speed"),
        ({"beam": 10**30}, "beam"),
        ({"sizes": [1, 1 << 63]}, "sizes"),
    ],
)
def test_a_bad_field_is_named_and_the_message_is_for_people(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode_request_options(Sample, fields, strict=True)
    assert caught.value.param == param
    assert "$" not in caught.value.message


def test_fields_that_only_others_know_are_named() -> None:
    class Other(Struct, frozen=True, kw_only=True):
        beam: int = 1
        tint: str = ""

    fields = {"beam": 1, "tint": "x", "nobody": 1}
    assert ignored_fields(Sample, [Sample, Other], fields) == ["tint"]


def test_a_schema_makes_a_struct_of_the_same_schema() -> None:
    schema = schema_of(Sample)
    assert schema_of(struct_of("Sample", schema)) == schema
    assert schema["properties"]["beam"]["env"] == "STT_BEAM_SIZE"


def test_a_rebuilt_struct_reads_the_same_variables_and_defaults() -> None:
    rebuilt = struct_of("Sample", schema_of(Sample))
    assert environment_names(rebuilt, "ECHO_") == environment_names(Sample, "ECHO_")
    assert msgspec.json.encode(rebuilt()) == msgspec.json.encode(Sample())


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 30), st.floats(allow_nan=False), st.text(max_size=7),
    st.lists(st.one_of(st.integers(), st.text(max_size=7)), max_size=3),
)  # fmt: skip


@given(fields=st.dictionaries(st.sampled_from(sorted(Sample.__struct_fields__)), VALUES))
def test_a_rebuilt_struct_takes_and_refuses_the_same_requests(fields: dict[str, Any]) -> None:
    rebuilt = struct_of("Sample", schema_of(Sample))
    for strict in (True, False):
        assert outcome(rebuilt, fields, strict) == outcome(Sample, fields, strict)


def outcome(cls: type[Struct], fields: dict[str, Any], strict: bool) -> Any:
    try:
        return msgspec.json.encode(decode_request_options(cls, fields, strict=strict))
    except InvalidRequest as error:
        return error.param, error.message


@pytest.mark.parametrize("spec", [{}, {"type": "object"}, {"$ref": "Other"}, {"type": "array", "items": {}}])
def test_a_schema_that_options_may_not_have_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(PluginError, match=r"option Strange\.field"):
        struct_of("Strange", {"properties": {"field": spec}})


class Nested(Struct, frozen=True, kw_only=True):
    inner: Sample = Sample()
    when: bytes = b""
    maps: dict[str, int] | None = None
    many: tuple[tuple[int, ...], ...] = ()
    anything: Any = None
    fine: Annotated[list[Annotated[int, Meta(ge=0)]], Meta(max_length=3)] = []


class Rest(Struct, kw_only=True, rename={"wide": "wide-beam"}):
    needed: int
    wide: int = 1
    model: str = ""


def test_what_options_may_not_be_is_said_field_by_field() -> None:
    assert option_problems(Sample) == []
    said = option_problems(Nested)
    assert [problem.split("'")[1] for problem in said] == ["inner", "when", "maps", "many", "anything"]
    assert option_problems(Rest, {"model"}) == [
        "Rest is not frozen",
        "'needed' has no default",
        "'wide' is renamed to 'wide-beam'",
        "'model' is the name of a request field",
    ]


def test_msgspec_sentences_are_cut_to_what_people_need() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"words": ["far too long"]}, Sample)
    assert readable(caught.value) == "Expected `str` of length <= 5"
    assert failing_param(caught.value) == "words"
