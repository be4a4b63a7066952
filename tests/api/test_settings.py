"""Settings from the environment."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from open_speech_api.settings import (
    Settings,
    SettingsError,
    canonical_environ,
    read_settings,
    render_settings_markdown,
    with_writable_data,
)
from open_speech_api.settings.environment import OLD_NAMES, variables

SECRET = "sk-very-secret"


def read(**environ: str) -> Settings:
    return read_settings(environ)[0]


def problems_of(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as caught:
        read_settings(environ)
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings, warnings = read_settings({})
    assert settings == Settings()
    assert warnings == ()
    assert (settings.server.port, settings.models.ttl_s, settings.tts.default_format) == (8100, 300.0, "mp3")


SAMPLES = {
    "OS_HOST": ("::1", "::1"),
    "OS_PORT": ("9000", 9000),
    "OS_API_KEY": ("a,b", "a,b"),
    "OS_AUTH_REQUIRED": ("off", False),
    "OS_CORS_ORIGINS": ("https://a, https://b,", ("https://a", "https://b")),
    "OS_TRUST_PROXY": ("yes", True),
    "OS_MAX_UPLOAD_MB": ("1", 1),
    "OS_EFFECTS_ENABLED": ("no", False),
    "OS_SSL_ENABLED": ("off", False),
    "OS_DATA_DIR": ("/d", "/d"),
    "OS_PROVIDERS_DIR": ("/p", "/p"),
    "OS_PROVIDER_INSTALL": ("no", False),
    "OS_PROVIDER_CATALOGUE": ("/c.json", "/c.json"),
    "OS_WHEELHOUSE": ("/w", "/w"),
    "OS_VOICE_LIBRARY_PATH": ("/v", "/v"),
    "OS_VOICE_LIBRARY_MAX_COUNT": ("0", 0),
    "OS_INSTALL_TIMEOUT_S": ("9", 9.0),
    "OS_RUN_DIR": ("/r", "/r"),
    "OS_PLACEMENT": ("Inline", "inline"),
    "OS_QUEUE_MAX": ("1", 1),
    "OS_QUEUE_WAIT_S": ("0.5", 0.5),
    "OS_STEP_TIMEOUT_S": ("7", 7.0),
    "OS_LOAD_TIMEOUT_S": ("8", 8.0),
    "OS_DRAIN_S": ("0", 0.0),
    "OS_MAX_AUDIO_S": ("60", 60.0),
    "OS_CORES": ("3", 3),
    "OS_WORKER_THREADS": ("2", 2),
    "OS_AUTO_DOWNLOAD": ("0", False),
    "OS_LOG_LEVEL": ("DEBUG", "debug"),
    "OS_MODEL_TTL": ("0", 0.0),
    "OS_MAX_LOADED_MODELS": ("2", 2),
    "OS_MEMORY_MB": ("4096", 4096),
    "STT_MODEL": ("tiny", "tiny"),
    "STT_DEVICE": ("cuda:1", "cuda:1"),
    "STT_NOISE_REDUCE": ("yes", True),
    "STT_NORMALIZE": ("off", False),
    "STT_COMPUTE_TYPE": ("int8", "int8"),
    "STT_MODEL_DIR": ("/m", "/m"),
    "STT_PRELOAD_MODELS": ("a,b", ("a", "b")),
    "STT_DIARIZE_ENABLED": ("no", False),
    "STT_DIARIZE_MODEL": ("d", "d"),
    "TTS_ENABLED": ("no", False),
    "TTS_MODEL": ("kokoro", "kokoro"),
    "TTS_VOICE": ("af_heart", "af_heart"),
    "TTS_SPEED": ("1.5", 1.5),
    "TTS_TRIM_SILENCE": ("0", False),
    "TTS_NORMALIZE_OUTPUT": ("false", False),
    "TTS_DEFAULT_FORMAT": ("opus", "opus"),
    "TTS_DEVICE": ("cpu", "cpu"),
    "TTS_MAX_INPUT_LENGTH": ("10", 10),
    "TTS_PRELOAD_MODELS": ("a", ("a",)),
    "STT_VAD_ENABLED": ("0", False),
    "STT_VAD_THRESHOLD": ("0.7", 0.7),
    "STT_VAD_MIN_SPEECH_MS": ("100", 100),
    "STT_VAD_SILENCE_MS": ("0", 0),
}


def test_every_variable_has_a_sample_here() -> None:
    assert {variable.name for variable in variables()} - set(SAMPLES) == {"OS_SSL_CERTFILE", "OS_SSL_KEYFILE"}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_variable_reaches_its_field_in_any_case(name: str) -> None:
    raw, value = SAMPLES[name]
    variable = next(variable for variable in variables() if variable.name == name)
    for written in (name, name.lower(), name.title()):
        settings, warnings = read_settings({written: f" {raw} "})
        sections = (settings.server, settings.models, settings.stt, settings.tts, settings.vad)
        section = next(section for section in sections if type(section) is variable.section)
        assert getattr(section, variable.field) == value
        assert warnings == ()


@pytest.mark.parametrize("name", SAMPLES)
def test_an_empty_value_is_unset(name: str) -> None:
    assert read(**{name: "  "}) == Settings()


@pytest.mark.parametrize("text", ["true", "TRUE", "1", "yes", "on", "On"])
def test_words_for_true(text: str) -> None:
    assert read(OS_TRUST_PROXY=text).server.trust_proxy is True


@pytest.mark.parametrize("text", ["false", "0", "no", "off", "OFF"])
def test_words_for_false(text: str) -> None:
    assert read(OS_AUTO_DOWNLOAD=text).server.auto_download is False


def test_unset_differs_from_a_value() -> None:
    assert read().server.ssl_enabled is None
    assert read(OS_SSL_ENABLED="false").server.ssl_enabled is False
    assert read().vad.silence_ms is None
    assert read().vad.file_silence_ms == 800
    assert read(STT_VAD_SILENCE_MS="0").vad.file_silence_ms == 0


NO_PORTS = ["null", "None", "nan", "inf", "1e999", "-1", "8100.5", "0x10", "65536", "0", "\u0663", "1_0"]


@pytest.mark.parametrize("text", NO_PORTS)
def test_a_port_that_is_none_is_refused(text: str) -> None:
    assert problems_of({"OS_PORT": text}).splitlines()[1:] == [
        f"  OS_PORT = {text!r}: must be a whole number from 1 to 65535"
    ]


@pytest.mark.parametrize("name", [name for name, (_, value) in SAMPLES.items() if isinstance(value, float)])
@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "-0.1", "1e999", "fast", "null"])
def test_a_number_must_be_finite_and_in_range(name: str, text: str) -> None:
    assert f"  {name} = {text!r}: must be a number" in problems_of({name: text})


def test_all_bad_values_are_reported_at_once_with_what_would_be_right() -> None:
    environ = {
        "OS_PORT": "99999",
        "os_placement": "elsewhere",
        "OS_DRAIN_S": "10",
        "OS_QUEUE_WAIT_S": "0",
        "STT_MAX_UPLOAD_MB": "0",
        "STT_DEVICE": "gpu",
        "TTS_SPEED": "5",
        "OS_SSL_CERTFILE": "/nowhere/cert.pem",
        "OS_AUTH_REQUIRED": "perhaps",
        "TTS_DEFAULT_FORMAT": "ogg",
    }
    assert problems_of(environ).splitlines() == [
        "11 settings are wrong:",
        "  OS_PORT = '99999': must be a whole number from 1 to 65535",
        "  OS_AUTH_REQUIRED = 'perhaps': must be true or false",
        "  STT_MAX_UPLOAD_MB = '0': must be a whole number of at least 1",
        "  OS_PLACEMENT = 'elsewhere': must be workers or inline",
        "  OS_QUEUE_WAIT_S = '0': must be a number above 0 and at most 86400",
        "  OS_DRAIN_S = '10': must be a number from 0 and below 10",
        "  STT_DEVICE = 'gpu': must be auto, cpu, cuda or cuda:N",
        "  TTS_SPEED = '5': must be a number from 0.25 to 4",
        "  TTS_DEFAULT_FORMAT = 'ogg': must be mp3, opus, aac, flac, wav or pcm",
        "  OS_SSL_CERTFILE = '/nowhere/cert.pem': there is no such file",
        "  OS_SSL_KEYFILE: must be set too: certificate and key go together",
    ]


def test_one_bad_value_is_spoken_of_in_the_singular() -> None:
    assert problems_of({"OS_PORT": "x"}).startswith("1 setting is wrong:\n")


def test_a_long_bad_value_is_cut() -> None:
    assert len(problems_of({"OS_PORT": "9" * 5000})) < 250


def test_a_required_key_that_is_missing_stops_the_start() -> None:
    assert "OS_AUTH_REQUIRED = 'true': needs a key in OS_API_KEY" in problems_of({"OS_AUTH_REQUIRED": "true"})
    assert read(OS_AUTH_REQUIRED="true", OS_API_KEY="k").server.api_keys == (b"k",)


def test_commas_alone_are_no_key() -> None:
    """Otherwise a slip of the pen would leave the server open."""
    assert "OS_API_KEY: holds commas and no key" in problems_of({"OS_API_KEY": " , ,"})


def test_keys_are_bytes_split_at_commas() -> None:
    assert read(OS_API_KEY=" a , schlüssel,").server.api_keys == (b"a", "schlüssel".encode())
    assert read(OS_API_KEY="\udcff").server.api_keys == (b"\xff",)


def test_the_key_is_never_shown() -> None:
    environ = {"OS_API_KEY": SECRET, "STT_API_KEY": SECRET, "OS_PORT": "x"}
    assert SECRET not in problems_of(environ)
    settings, warnings = read_settings({"OS_API_KEY": SECRET, "STT_API_KEY": SECRET})
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.server)
    assert SECRET not in " ".join(warnings)


@pytest.mark.parametrize(("new", "old"), [(new, old) for new, old in OLD_NAMES.items() if new in SAMPLES])
def test_an_old_name_is_honoured_with_one_warning_that_names_both(new: str, old: str) -> None:
    raw = SAMPLES[new][0]
    settings, warnings = read_settings({old: raw})
    assert settings == read_settings({new: raw})[0] != Settings()
    assert warnings == (f"{old} is an old name; please rename it to {new}",)


def test_a_certificate_under_its_old_names_is_found(tmp_path: Path) -> None:
    (tmp_path / "pem").write_text("")
    path = str(tmp_path / "pem")
    settings, warnings = read_settings({"STT_SSL_CERTFILE": path, "STT_SSL_KEYFILE": path})
    assert (settings.server.ssl_certfile, settings.server.ssl_keyfile) == (path, path)
    assert len(warnings) == 2


def test_the_new_name_wins_over_the_old_one() -> None:
    settings, warnings = read_settings({"STT_PORT": "1", "os_port": "2"})
    assert settings.server.port == 2
    assert warnings == ("STT_PORT is ignored: OS_PORT, its new name, is set too",)


def test_an_empty_new_name_leaves_the_old_one_in_force() -> None:
    assert read(OS_PORT="", STT_PORT="7").server.port == 7


def test_a_name_in_capitals_wins_over_others() -> None:
    assert read(os_port="1", OS_PORT="2", Os_Port="3").server.port == 2


def test_half_a_pair_is_refused(tmp_path: Path) -> None:
    (tmp_path / "k").write_text("")
    for given_name, missing in (("OS_SSL_CERTFILE", "OS_SSL_KEYFILE"), ("OS_SSL_KEYFILE", "OS_SSL_CERTFILE")):
        assert f"{missing}: must be set too" in problems_of({given_name: str(tmp_path / "k")})


def test_plugins_see_the_names_in_use() -> None:
    environ = {"stt_model": "a", "STT_DEFAULT_MODEL": "b", "TTS_DEFAULT_VOICE": "v", "http_proxy": "p"}
    canonical = canonical_environ(environ)
    assert (canonical["STT_MODEL"], canonical["TTS_VOICE"]) == ("a", "v")
    assert "HTTP_PROXY" not in canonical
    assert set(environ) <= set(canonical)


def test_folders_lie_in_the_data_folder_unless_moved() -> None:
    server = read(OS_DATA_DIR="/d", OS_PROVIDERS_DIR="/p").server
    assert (server.folder("models"), server.folder("providers")) == (Path("/d/models"), Path("/p"))
    assert read(OS_DATA_DIR="/d").server.folder("providers") == Path("/d/providers")


def test_the_user_s_data_folder_is_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read().server.data_root.is_relative_to(tmp_path)
    assert read().server.data_root.name == "open-speech"
    assert read(OS_DATA_DIR="~/x").server.data_root == tmp_path / "x"


def test_an_unwritable_data_folder_falls_back_with_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    settings, warnings = with_writable_data(read(OS_DATA_DIR=str(tmp_path / "file" / "data")))
    assert settings.server.data_root == tmp_path / "data"
    assert len(warnings) == 1
    assert "OS_DATA_DIR" in warnings[0]


def test_a_data_folder_is_made_where_it_is_missing(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "b"
    settings, warnings = with_writable_data(read(OS_DATA_DIR=str(wanted)))
    assert (settings.server.data_root, warnings) == (wanted, ())
    assert wanted.is_dir()


def test_the_page_has_every_variable_with_a_description() -> None:
    page = render_settings_markdown()
    for variable in variables():
        assert f"| `{variable.name}` |" in page
        assert variable.meta.description
    assert "| `OS_PORT` | `8100` | a whole number from 1 to 65535 | Port to listen on. |" in page
    assert "| `STT_DEFAULT_MODEL` | `STT_MODEL` |" in page


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])) | st.binary().map(
    lambda value: os.fsdecode(value.replace(b"\0", b""))
)
"""All that an environment can hold: texts, and bytes that are none."""


@given(st.dictionaries(st.sampled_from(sorted(SAMPLES)), VALUES))
def test_any_environment_is_read_or_refused_readably(environ: dict[str, str]) -> None:
    refused: SettingsError | None = None
    try:
        read_settings(environ)
    except SettingsError as error:
        refused = error
    if refused is not None:
        assert all(line.startswith("  ") for line in str(refused).splitlines()[1:])
        assert {problem.variable for problem in refused.problems} <= set(environ)
