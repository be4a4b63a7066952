"""Qwen3-TTS as small as it gets, with random weights: the library's real code, and noise for speech."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from qwen_tts.core.models import Qwen3TTSConfig, Qwen3TTSForConditionalGeneration, Qwen3TTSProcessor
from qwen_tts.core.tokenizer_12hz.configuration_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Config
from qwen_tts.core.tokenizer_12hz.modeling_qwen3_tts_tokenizer_v2 import Qwen3TTSTokenizerV2Model
from tokenizers.pre_tokenizers import ByteLevel
from transformers import EncodecFeatureExtractor, Qwen2TokenizerFast

from open_speech_qwen.family import LANGUAGES, SPEAKERS

TOKENS = 12
"""Most that one sentence takes, at 12.5 a second: the model does not find its end."""
SPECIAL = ["<|im_start|>", "<|im_end|>", "<tts_pad>", "<tts_text_bos>", "<tts_text_eod>"]
SPEAKER_ENCODER = (
    "mel_dim", "enc_dim", "enc_channels", "enc_kernel_sizes", "enc_dilations", "enc_attention_channels",
    "enc_res2net_scale", "enc_se_channels", "sample_rate",
)  # fmt: skip
HEADS: dict[str, Any] = {"hidden_size": 64, "num_attention_heads": 4, "head_dim": 16}
FIRST_SPEAKER, FIRST_LANGUAGE = 1110, 1125


def write(folder: Path, kind: str, *, size: str = "1b7", seed: int = 0) -> None:
    """Write a model of a kind (custom_voice, voice_design or base) as the hub would have it."""
    torch.manual_seed(seed)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(folder)
    ids = [tokenizer.convert_tokens_to_ids(token) for token in SPECIAL]
    config = Qwen3TTSConfig(
        talker_config=_talker(len(tokenizer) + 8),
        speaker_encoder_config={"enc_dim": 64},
        tokenizer_type="qwen3_tts_tokenizer_12hz",
        tts_model_size=size,
        tts_model_type=kind,
        **dict(zip(("im_start_token_id", "im_end_token_id"), ids, strict=False)),
        **dict(zip(("tts_pad_token_id", "tts_bos_token_id", "tts_eos_token_id"), ids[2:], strict=True)),
    )
    _save(Qwen3TTSForConditionalGeneration(config), folder, std=0.2)
    # Saved with more than its own constructor takes.
    saved = json.loads((folder / "config.json").read_text())
    encoder = saved["speaker_encoder_config"]
    saved["speaker_encoder_config"] = {name: encoder[name] for name in SPEAKER_ENCODER if name in encoder}
    (folder / "config.json").write_text(json.dumps(saved))
    generation = {"do_sample": True, "max_new_tokens": TOKENS, "top_k": 50, "top_p": 1.0, "temperature": 0.9}
    (folder / "generation_config.json").write_text(json.dumps({**generation, "repetition_penalty": 1.05}))
    _save(_codec(), folder / "speech_tokenizer", std=0.12)
    EncodecFeatureExtractor(feature_size=1, sampling_rate=24_000).save_pretrained(folder / "speech_tokenizer")


def _save(model: Any, folder: Path, *, std: float) -> None:
    """Save with weights so large that what goes in is heard in what comes out."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=std)
    model.save_pretrained(folder)


def _tokenizer(folder: Path) -> Any:
    """Write a tokenizer of bytes, without merges."""
    vocabulary = {character: number for number, character in enumerate(sorted(ByteLevel.alphabet()))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = Qwen2TokenizerFast(
        vocab_file=str(folder / "vocab.json"),
        merges_file=str(folder / "merges.txt"),
        additional_special_tokens=SPECIAL,
    )
    Qwen3TTSProcessor(tokenizer=tokenizer).save_pretrained(folder)
    return tokenizer


def _talker(text_vocabulary: int) -> dict[str, Any]:
    speakers = [voice.id.lower() for voice in SPEAKERS]
    languages = [name.lower() for name in LANGUAGES.values()]
    return {
        **HEADS,
        "vocab_size": 1152,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_key_value_heads": 2,
        "num_code_groups": 4,
        "text_hidden_size": 64,
        "text_vocab_size": text_vocabulary,
        "codec_eos_token_id": 1100,
        "codec_think_id": 1101,
        "codec_nothink_id": 1102,
        "codec_think_bos_id": 1103,
        "codec_think_eos_id": 1104,
        "codec_pad_id": 1105,
        "codec_bos_id": 1106,
        "rope_scaling": {"interleaved": True, "mrope_section": [4, 2, 2], "rope_type": "default", "type": "default"},
        "spk_id": {name: FIRST_SPEAKER + at for at, name in enumerate(speakers)},
        "spk_is_dialect": dict.fromkeys(speakers, False),
        "codec_language_id": {name: FIRST_LANGUAGE + at for at, name in enumerate(languages)},
        "code_predictor_config": {
            **HEADS,
            "vocab_size": 128,
            "intermediate_size": 64,
            "num_hidden_layers": 1,
            "num_key_value_heads": 2,
            "num_code_groups": 4,
        },
    }


def _codec() -> Any:
    common: dict[str, Any] = {
        **HEADS,
        "codebook_size": 128,
        "num_quantizers": 4,
        "num_key_value_heads": 4,
        "num_hidden_layers": 1,
        "intermediate_size": 64,
    }
    return Qwen3TTSTokenizerV2Model(
        Qwen3TTSTokenizerV2Config(
            encoder_config={
                **common,
                "num_filters": 4,
                "codebook_dim": 32,
                "vector_quantization_hidden_dimension": 32,
                "upsample_groups": 64,
                "frame_rate": 12.5,
                "num_semantic_quantizers": 1,
                "upsampling_ratios": [8, 6, 5, 4],
            },
            decoder_config={**common, "latent_dim": 64, "decoder_dim": 64, "codebook_dim": 64},
            encoder_valid_num_quantizers=4,
        )
    )
