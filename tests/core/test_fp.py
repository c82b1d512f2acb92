import hashlib, json, os
from dataclasses import replace
from pathlib import Path
import numpy as np, pytest, torch
from safetensors.torch import load_file
from tests.core.test_training import *
from tests.core.test_adapter_training import data, voice, base  # noqa
from eadnet_core.training.adapters import train_adapters
from eadnet_core.training.denoiser_batches import Mix
from eadnet_core.training.classifier import *
from eadnet_core.training.vae import train_vae

OUT = Path(os.environ["FP_OUT"])

def note(name, path, folder, part):
    state = load_file(path)
    h = hashlib.sha256()
    for k in sorted(state):
        h.update(k.encode()); h.update(state[k].contiguous().reshape(-1).numpy().tobytes())
    rows = [r.split(",") for r in (folder / "runs" / part / "log.csv").read_text().splitlines()[1:]]
    log = hashlib.sha256("\n".join(",".join((r[0], r[2], r[3])) for r in rows).encode()).hexdigest()
    ck = sorted(p.name for p in (folder / "runs" / part / "checkpoint").glob("*"))
    with OUT.open("a") as f:
        f.write(f"{name} {h.hexdigest()[:16]} {log[:16]} {len(rows)} {ck}\n")

@pytest.mark.parametrize("part", ["expression","emotion_expert","face_expert","syncnet","sync_expert","video_features","lip_reader","vae","emotion_bank","denoiser","denoiser_mix","adapters","doubling"])
def test_fp(part, cache, tmp_path, config, tiny, request, monkeypatch):
    torch.set_num_threads(1)
    out = tmp_path / f"{part}.safetensors"
    opts = options(tmp_path, 3, alarm_every=2)
    trains = dict(expression=train_expression, emotion_expert=train_emotion_expert, face_expert=train_face_expert, syncnet=train_syncnet, sync_expert=train_sync_expert, video_features=train_video_features, lip_reader=train_lip_reader)
    run = part
    if part in trains:
        trains[part](config, cache.folder, out, opts)
    elif part == "vae":
        tiny.write(tmp_path, "expression"); train_vae(config, cache.folder, out, opts)
    elif part == "emotion_bank":
        monkeypatch.setattr(emotion_bank, "N_FACES", 8)
        emotion_bank.train_emotion_bank(config, cache.folder, out, opts)
    elif part.startswith("denoiser"):
        run = "denoiser"
        for p in ("vae", "syncnet", "video_features", "expression", "lip_reader"):
            tiny.write(tmp_path, p)
        mix = Mix(supervise_every=1, supervise_below=1.1, lengths=((1, 1.0),)) if part == "denoiser" else Mix(label_share=0.3, masked=0.6, drop_audio=.3, drop_motion=.3, drop_emotion=.2)
        train_denoiser(config, cache.folder, out, options(tmp_path, 6, alarm_every=2), weights=DenoiserLossWeights(emotion_bottleneck=0.1), mix=mix)
    elif part == "adapters":
        b = request.getfixturevalue("base"); d = request.getfixturevalue("data")
        train_adapters(b, d, out, options(tmp_path, 4, batch=2))
        enc = sorted((tmp_path / "runs" / "encoded").glob("*.safetensors"))
        with OUT.open("a") as f:
            for p in enc:
                f.write('keys ' + str({k: hashlib.sha256(v.numpy().tobytes()).hexdigest()[:8] for k, v in load_file(p).items()}) + chr(10))
                s = load_file(p)
                f.write(f"encoded {p.name} {sorted(s)} {[tuple(v.shape) for v in s.values()]} {hashlib.sha256(b''.join(s[k].numpy().tobytes() for k in sorted(s))).hexdigest()[:16]}\n")
    elif part == "doubling":
        c = build_cache(tmp_path / "c", n_clips=8, n_frames=1, size_px=256, speech_utterances=2, progress=False)
        (tmp_path / "mini").mkdir()
        for p in MODEL_PARTS: tiny.write(tmp_path / "mini", p)
        out = tmp_path / "mini-256" / "vae.safetensors"
        train_doubling(PRESETS["mini-256"], c.folder, out, opts)
    note(part, out, tmp_path, run)
