"""Prints what the nodes cost in a running ComfyUI: a first run, another feeling, the preview, Cancel, memory by length.

Start ComfyUI with the pack on this machine, freshly, and give its address: `python bench/comfyui.py --url
http://127.0.0.1:8188 --pid 1234`. Memory is the peak of the process --pid, reset before each clip (Linux).
"""

from __future__ import annotations

import argparse
import io
import json
import random
import statistics
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from eadnet_core.weights.folders import ASSETS

WORDS = (
    "happy",
    "furious",
    "very sad",
    "scared to death",
    "disgusted",
    "so surprised",
    "scornful",
    "calm",
    "delighted",
)
N_PREVIEWS = 50
LENGTHS_S = (10, 120)


class Host:
    """ComfyUI over HTTP."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def ask(self, path: str, data: Any = None, kind: str = "application/json") -> Any:
        """The JSON of a GET, or of a POST of JSON or bytes."""
        body = data if data is None or isinstance(data, bytes) else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, {"Content-Type": kind} if data is not None else {})
        with urllib.request.urlopen(request, timeout=3600) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def queue(self, prompt: dict[str, Any]) -> str:
        """Queue a prompt; its id."""
        return self.ask("/prompt", {"prompt": prompt})["prompt_id"]

    def wait(self, prompt_id: str) -> dict[str, Any]:
        """The history of a prompt when it has ended."""
        while prompt_id not in (history := self.ask(f"/history/{prompt_id}")):
            time.sleep(0.02)
        return history[prompt_id]

    def run(self, prompt: dict[str, Any]) -> tuple[float, list[str]]:
        """(seconds, kinds of the nodes that ran)"""
        began = time.perf_counter()
        done = self.wait(self.queue(prompt))
        seconds = time.perf_counter() - began
        if done["status"]["status_str"] != "success":
            raise SystemExit(f"The run failed: {done['status']['messages'][-1]}")
        cached = next(data["nodes"] for event, data in done["status"]["messages"] if event == "execution_cached")
        return seconds, [node["class_type"] for key, node in prompt.items() if key not in cached]

    def upload(self, name: str, data: bytes) -> None:
        """Put a file into the input folder."""
        mark = uuid.uuid4().hex
        head = f'--{mark}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\ntrue\r\n--{mark}\r\n'
        head += f'Content-Disposition: form-data; name="image"; filename="{name}"\r\n\r\n'
        body = head.encode() + data + f"\r\n--{mark}--\r\n".encode()
        self.ask("/upload/image", body, f"multipart/form-data; boundary={mark}")


def graph(words: str, sound: str = "eadnet_speech.wav", **sampler: Any) -> dict[str, Any]:
    """The full graph in API format."""
    nodes = {
        "image": ("LoadImage", {"image": "eadnet_portrait.png"}),
        "audio": ("LoadAudio", {"audio": sound}),
        "model": ("EADNet_Loader", {"model": "mini", "precision": "auto", "attention": "auto"}),
        "face": ("EADNet_Face", {"image": ["image", 0], "index": 0, "box": "", "face_threshold": 0.5}),
        "speech": ("EADNet_AudioEncoder", {"audio": ["audio", 0], "speech_gate": True, "gate_threshold": -26.0}),
        "emotion": ("EADNet_EmotionPrompt", {"text": words, "preset": "from text", "intensity": 1.0}),
        "sampler": (
            "EADNet_Sampler",
            {"model": ["model", 0], "face": ["face", 0], "speech": ["speech", 0], "emotion": ["emotion", 0]},
        ),
        "video": (
            "EADNet_RenderVideo",
            {"latents": ["sampler", 0], "face": ["face", 0], "portrait": ["image", 0], "audio": ["audio", 0]},
        ),
        "save": ("SaveVideo", {"video": ["video", 0], "filename_prefix": "bench", "format": "auto", "codec": "auto"}),
    }
    more = {
        "face": {"on_missing": "hold", "fps": 25.0},
        "emotion": {"valence": 0.0, "arousal": 0.0, "use_pad": False},
        "sampler": {
            "steps": 0,
            "seed": 0,
            "guidance_audio": -1.0,
            "guidance_emotion": -1.0,
            "sync_guidance": 0.0,
            "sync_low": 0.3,
            "sync_high": 1.0,
            **sampler,
        },
        "video": {"fps": 25.0},
    }
    return {
        key: {"class_type": kind, "inputs": {**inputs, **more.get(key, {})}} for key, (kind, inputs) in nodes.items()
    }


def first_run() -> dict[str, Any]:
    """The three nodes of workflows/first_run.json."""
    sliders = {"intensity": 1.0, "head": 1.0, "lips": 1.0}
    speak = {"image": ["image", 0], "audio": ["audio", 0], "text": "delighted", **sliders}
    full = graph("")
    return {"image": full["image"], "audio": full["audio"], "speak": {"class_type": "EADNet_Speak", "inputs": speak}}


def previews(host: Host) -> list[float]:
    """Seconds from request to answer for changes of words and of the pad, each new to the server."""
    rng, taken = random.Random(0), []
    for i in range(N_PREVIEWS):
        point = {"valence": rng.uniform(-1, 1), "arousal": rng.uniform(-1, 1)} if i % 2 else {}
        asked = {"image": "eadnet_portrait.png", "text": f"{rng.choice(WORDS)} {i}", "preset": "from text", **point}
        began = time.perf_counter()
        host.ask("/eadnet/preview", {"intensity": 1.0, "frames": 1, **asked})
        taken.append(time.perf_counter() - began)
        time.sleep(0.05)
    return taken


def cancel_latency(host: Host) -> float:
    """Seconds from the request to the end of a long sampling."""
    running = host.queue(graph("happy", steps=100, seed=random.getrandbits(32)))
    while not host.ask("/queue")["queue_running"]:
        time.sleep(0.05)
    time.sleep(3.0)
    began = time.perf_counter()
    host.ask("/interrupt", {"prompt_id": running})
    host.wait(running)
    return time.perf_counter() - began


def peak_mb(pid: int) -> float:
    """Peak resident memory of a process since `reset_peak`."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024


def reset_peak(pid: int) -> None:
    """Let the peak begin at the present memory."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def measure_memory(host: Host, pid: int) -> None:
    """Peak of the server for a short and a long clip."""
    samples, rate_hz = soundfile.read(ASSETS / "sample" / "speech.wav", dtype="float32")
    peaks = []
    for length_s in LENGTHS_S:
        data = io.BytesIO()
        soundfile.write(data, np.resize(samples, length_s * rate_hz), rate_hz, format="WAV", subtype="PCM_16")
        host.upload(f"eadnet_bench_{length_s}.wav", data.getvalue())
        reset_peak(pid)
        seconds, _ = host.run(graph("happy", f"eadnet_bench_{length_s}.wav"))
        peaks.append(peak_mb(pid))
        print(f"clip of {length_s:3d} s: {seconds:7.1f} s, peak memory {peaks[-1]:7.0f} MB", flush=True)
    print(f"memory, {LENGTHS_S[1]} s against {LENGTHS_S[0]} s: {peaks[1] / peaks[0]:.3f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8188", help="where ComfyUI answers")
    parser.add_argument("--pid", type=int, help="its process, for memory")
    args = parser.parse_args()
    host = Host(args.url)
    seconds, _ = host.run(first_run())
    print(f"first_run, fresh server: {seconds:.1f} s to the video of 5.84 s", flush=True)
    seconds, ran = host.run(graph("delighted"))
    print(f"full graph: {seconds:.1f} s, ran {', '.join(ran)}", flush=True)
    seconds, ran = host.run(graph("furious"))
    print(f"another feeling: {seconds:.1f} s, ran {', '.join(ran)}", flush=True)
    taken = previews(host)
    p95 = statistics.quantiles(taken, n=20)[-1]
    median = statistics.median(taken)
    print(f"preview, {len(taken)} changes: median {median:.3f} s, p95 {p95:.3f} s, first {taken[0]:.3f} s")
    print(f"cancel: {cancel_latency(host):.2f} s", flush=True)
    if args.pid:
        measure_memory(host, args.pid)


if __name__ == "__main__":
    main()
