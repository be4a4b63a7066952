"""Pocket TTS as small as it gets, with random weights: the library's real code, and noise for speech."""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from pocket_tts import TTSModel, export_model_state
from pocket_tts.utils.config import CONFIGS_DIR
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from open_speech_pocket.provider import RATE


def write(folder: Path) -> None:
    """Write a model of one layer, its tokenizer and the voices anne and bert, as an owner would have it."""
    (folder / "embeddings").mkdir(parents=True)
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    letters = list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,!?' ")
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=letters)
    tokenizer.train_from_iterator(["hello world this is a test of the speech server."] * 5, trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    config = yaml.safe_load((CONFIGS_DIR / "english.yaml").read_text())
    for key in ("weights_path", "weights_path_without_voice_cloning"):
        config.pop(key)
    table = config["flow_lm"]["lookup_table"]
    table.update(tokenizer_path=str(folder / "tokenizer.json"), n_bins=tokenizer.get_vocab_size(), dim=64)
    config["flow_lm"]["transformer"].update(d_model=64, num_heads=4, num_layers=1)
    config["flow_lm"]["flow"].update(dim=32, depth=1)
    config["mimi"]["seanet"]["n_filters"] = 4
    made = folder / "made.yaml"
    made.write_text(yaml.safe_dump(config))
    torch.manual_seed(0)
    model = TTSModel.load_model(config=made)
    # The library begins with zeros here, and no voice would be heard.
    torch.nn.init.normal_(model.flow_lm.speaker_proj_weight)
    save_file(model.state_dict(), folder / "model.safetensors")
    made.unlink()
    config["weights_path"] = "model.safetensors"
    table["tokenizer_path"] = "tokenizer.json"
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    for number, voice in enumerate(("anne", "bert")):
        torch.manual_seed(number)
        state = model.get_state_for_audio_prompt(torch.randn(1, 3 * RATE) * 0.05)
        export_model_state(state, str(folder / "embeddings" / f"{voice}.safetensors"))
