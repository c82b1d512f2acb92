"""A ninth emotion: one more record, no training; weight files go on knowing the eight that they were made with."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from eadnet_core.emotion.code import emotion_code
from eadnet_core.families.load import load_model
from eadnet_core.generation.stages import preview
from eadnet_core.media.image import read_image
from eadnet_core.nets.label_order import LabelOrder
from eadnet_core.taxonomy import ACTION_UNITS, EMOTIONS, FIRST_EMOTIONS
from eadnet_core.weights.folders import ASSETS

CORE = Path(__file__).parents[2] / "eadnet_core"
BORED = """    EmotionRecord(
        name="bored",
        adjective="bored",
        valence=-0.2,
        arousal=-0.8,
        words=("bored", "boredom"),
        action_units={"AU7": 0.6, "AU15": 0.3, "AU26": 0.4},
        manner=Manner(pitch=0.05, amplitude=0.4, tempo=0.1),
    ),
)
\"\"\"Every emotion"""
PROGRAM = """
import json
import numpy as np
from PIL import Image
from eadnet_core.emotion.code import describe, emotion_code
from eadnet_core.emotion.face_words import caption
from eadnet_core.generation.stages import preview
from eadnet_core.media.image import read_image
from eadnet_core.taxonomy import EMOTIONS
from eadnet_core.weights.folders import ASSETS
from eadnet_core.families.load import load_model
from eadnet_core.weights.experts import load_experts, load_reference_reader
from eadnet_core.metrics.emotion import read_emotion

model, expert = load_model("mini", "cpu"), load_experts("cpu").reader
read = {text: r.label for text, r in zip(TEXTS, model.reader.read(TEXTS))}
portrait = np.array(Image.fromarray(read_image(ASSETS / "sample" / "portrait.png")).resize((128, 128)))
frames = {label: preview(model, portrait, emotion_code(label, 1.0)) for label in ("neutral", "bored", "happy")}
seen = read_emotion(frames["happy"], expert)
bank = load_reference_reader("mini").bank
print(json.dumps({
    "emotions": EMOTIONS, "read": read, "caption": caption(emotion_code("bored", 0.5)), "happy": seen.label,
    "n_probabilities": len(seen.probabilities), "bored": float(seen.probabilities[-1]),
    "moved": float(np.abs(frames["bored"].astype(float) - frames["neutral"]).mean()),
    "entry": list(bank.entries.shape), "sum": int(frames["happy"].astype(np.int64).sum()),
}))
"""
TEXTS = ("bored", "very happy", "furious", "slightly sad")


def run(folder: Path) -> dict:
    code = PROGRAM.replace("TEXTS", repr(TEXTS))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def with_ninth(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What the library says after somebody has added a record to taxonomy.py, and done nothing else."""
    folder = tmp_path_factory.mktemp("ninth")
    shutil.copytree(CORE, folder / "eadnet_core", ignore=shutil.ignore_patterns("assets", "__pycache__"))
    (folder / "eadnet_core" / "assets").symlink_to(CORE / "assets", target_is_directory=True)
    taxonomy = folder / "eadnet_core" / "taxonomy.py"
    text = taxonomy.read_text("utf-8")
    assert text.count(')\n"""Every emotion') == 1
    taxonomy.write_text(text.replace(')\n"""Every emotion', BORED.replace('\\"', '"')), "utf-8")
    return run(folder)


def test_words_captions_and_codes_know_it(with_ninth: dict) -> None:
    assert with_ninth["emotions"] == [*EMOTIONS, "bored"]
    assert with_ninth["read"] == {
        "bored": "bored", "very happy": "happy", "furious": "angry", "slightly sad": "sad"
    }  # fmt: skip
    assert with_ninth["caption"].startswith("The face looks bored.")


def test_the_shipped_nets_play_it_by_its_action_units_and_never_read_it(with_ninth: dict) -> None:
    assert with_ninth["moved"] > 0.3
    assert with_ninth["happy"] == "happy"
    assert with_ninth["n_probabilities"] == 9 and with_ninth["bored"] < 1e-6
    assert with_ninth["entry"] == [64, len(EMOTIONS) + 1 + 3 + len(ACTION_UNITS)]


def test_what_the_shipped_nets_play_of_the_others_does_not_change(with_ninth: dict) -> None:
    portrait = Image.fromarray(read_image(ASSETS / "sample" / "portrait.png")).resize((128, 128))
    frames = preview(load_model("mini", "cpu"), np.array(portrait), emotion_code("happy", 1.0))
    assert int(frames.astype(np.int64).sum()) == pytest.approx(with_ninth["sum"], rel=1e-4)  # threads round otherwise


def test_the_order_of_a_file_is_brought_into_that_of_the_library() -> None:
    order = LabelOrder(("sad", "lost", "neutral"))
    logits = order.logits_from_net(torch.tensor([[1.0, 9.0, 2.0, 0.5]]))
    assert logits[0, EMOTIONS.index("sad")] == 1.0 and logits[0, EMOTIONS.index("neutral")] == 2.0
    assert logits[0, EMOTIONS.index("happy")] == -30.0 and logits[0, -1] == 0.5
    code = torch.arange(len(EMOTIONS) + 2.0)
    back = order.code_to_net(code)
    assert back.tolist() == [code[EMOTIONS.index("sad")], 0.0, code[EMOTIONS.index("neutral")], *code[-2:].tolist()]


def test_tensors_pass_untouched_where_the_orders_are_the_same() -> None:
    code = torch.randn(3, 27)
    order = LabelOrder(FIRST_EMOTIONS)
    assert order.code_to_net(code) is code and order.code_from_net(code) is code and order.logits_from_net(code) is code
