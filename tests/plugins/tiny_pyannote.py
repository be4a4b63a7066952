"""A pipeline of pyannote.audio with random weights: the library's real code, and turns by chance."""

from __future__ import annotations

from pathlib import Path

import lightning
import numpy as np
import torch
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding.wespeaker import WeSpeakerResNet34
from pyannote.audio.models.segmentation import PyanNet


def write(folder: Path) -> None:
    """Write a pipeline of two untrained networks as the library saves them."""
    torch.manual_seed(0)
    segmentation = PyanNet(sincnet={"stride": 10})
    segmentation.specifications = Specifications(
        problem=Problem.MONO_LABEL_CLASSIFICATION,
        resolution=Resolution.FRAME,
        duration=10.0,
        min_duration=None,
        warm_up=(0.0, 0.0),
        classes=["s1", "s2", "s3"],
        powerset_max_classes=2,
        permutation_invariant=True,
    )
    embedding = WeSpeakerResNet34()
    embedding.specifications = Specifications(problem=Problem.REPRESENTATION, resolution=Resolution.CHUNK, duration=5.0)
    segmentation.build()
    # Untrained it hears nobody: let it lean to one or two speakers.
    with torch.no_grad():
        segmentation.classifier.bias.copy_(torch.tensor([-1.0, 0.3, 0.3, -1.0, 0.0, -1.0, -1.0]))
    for name, network in (("segmentation", segmentation), ("embedding", embedding)):
        if name == "embedding":
            network.build()
        network.eval()
        checkpoint = {
            "state_dict": network.state_dict(),
            "hyper_parameters": dict(network.hparams),
            "pytorch-lightning_version": lightning.__version__,
        }
        network.on_save_checkpoint(checkpoint)
        (folder / name).mkdir(parents=True)
        torch.save(checkpoint, folder / name / "pytorch_model.bin")
    random, wide, narrow = np.random.default_rng(0), 256, 128
    plda = folder / "plda"
    plda.mkdir()
    lda = random.standard_normal((wide, narrow)) / 16
    np.savez(plda / "xvec_transform.npz", mean1=np.zeros(wide), mean2=np.zeros(narrow), lda=lda)
    rotation = np.eye(narrow) + random.standard_normal((narrow, narrow)) / 120
    spread = np.sort(random.uniform(0.1, 5, narrow))[::-1]
    np.savez(plda / "plda.npz", mu=np.zeros(narrow), tr=rotation, psi=spread)
    (folder / "config.yaml").write_text("""
pipeline:
  name: pyannote.audio.pipelines.SpeakerDiarization
  params:
    clustering: AgglomerativeClustering
    segmentation: $model/segmentation
    embedding: $model/embedding
    plda: $model/plda
    embedding_exclude_overlap: true
params:
  segmentation: {min_duration_off: 0.0}
  clustering: {method: centroid, min_cluster_size: 2, threshold: 0.7}
""")
