"""Hostile inputs, made from good ones by seeded mutation: each must work, or be refused in one line.

    python bench/hostile.py                       25 of each kind, the table of kinds and verdicts
    python bench/hostile.py --each 5 --seed 7 --kind wav --kind mp4
    python bench/hostile.py --keep FOLDER         leave the inputs that are faults there
    python bench/hostile.py --comfyui URL         workflows as well, sent to a running ComfyUI

Every input goes through what `eadnet generate`, `dub`, `emotion` and `info` call, in a process of its own: sound,
pictures, videos and tracks as far as a generation that is planned, without a frame made; weight files until they are
loaded. A fault is a traceback, a crash, more than LIMIT_S, more than LIMIT_BYTES, or a file left behind.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import select
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from mutations import hostile

KINDS = ("wav", "mp3", "png", "jpg", "mp4", "json", "safetensors")
VERDICTS = ("worked", "worked with a note", "refused", "fault")
LIMIT_S = 20.0
LIMIT_RUN_S = 120.0
"""Of a workflow that is valid: it makes a video, with a model that may have to be loaded."""
LIMIT_BYTES = 2_000_000_000
SPEECH_S = 0.4
SAMPLE = Path(__file__).parents[1] / "eadnet_core" / "assets" / "sample"
WORKFLOW = Path(__file__).parents[1] / "workflows" / "first_run.json"


class Verdict(NamedTuple):
    """What became of one input: one of VERDICTS, and what was said."""

    verdict: str
    said: str


def named(kind: str, stem: str) -> str:
    """The name of a file of a kind; a part of a model has one of its own."""
    return "text_reader.safetensors" if kind == "safetensors" else f"{stem}.{kind}"


# Good inputs


def good_files(folder: Path) -> None:
    """A good file of every kind from the samples that ship."""
    import soundfile
    import torch
    from PIL import Image

    from eadnet_core.config import TextReaderConfig
    from eadnet_core.weights.files import save_part
    from eadnet_core.weights.parts import PARTS

    samples, rate = soundfile.read(SAMPLE / "speech.wav", dtype="float32")
    voice = samples[rate : rate + round(SPEECH_S * rate)]
    soundfile.write(folder / "good.wav", voice, rate, subtype="PCM_16")
    soundfile.write(folder / "good.mp3", voice, rate)
    with Image.open(SAMPLE / "portrait.png") as opened:
        portrait = opened.convert("RGB").resize((192, 192))
    portrait.save(folder / "good.png")
    portrait.save(folder / "good.jpg", quality=90)
    shutil.copyfile(SAMPLE / "clip.mp4", folder / "good.mp4")
    (folder / "good.json").write_text(json.dumps(TRACK), encoding="utf-8")
    pieces = "[PAD]\n[UNK]\n[CLS]\n[SEP]\nhappy"
    config = TextReaderConfig(n_pieces=5, vocabulary_bytes=len(pieces), width=16, layers=1, heads=2, hidden=32)
    net: Any = PARTS["text_reader"].build(config)
    net.vocabulary.copy_(torch.tensor(list(pieces.encode())))
    save_part(folder / "text_reader.safetensors", "text_reader", net, config)


TRACK: dict[str, Any] = {
    "version": 1,
    "keyframes": [
        {"time_s": 0.0, "text": "happy", "intensity": 0.8},
        {"word": 1, "text": "quietly furious", "fade_s": 0.2, "ease": "smooth"},
        {"time_s": 0.3, "code": [0.0] * 27},
    ],
    "words": [{"text": "oh", "start_s": 0.0, "end_s": 0.1}, {"text": "no", "start_s": 0.15, "end_s": 0.3}],
}


# The process that reads them


class Listener(logging.Handler):
    """What the library logs, as notes."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def read(kind: str, path: Path, good: Path, model: Any) -> list[str]:
    """Read one input as the command line does; returns the notes. Raises whatever comes."""
    from eadnet_core.cli import build_parser, main
    from eadnet_core.cli.emotion import words_of
    from eadnet_core.config import FPS
    from eadnet_core.generation.pipeline import prepare
    from eadnet_core.media.video.files import read_video

    if kind == "safetensors":
        main(["emotion", "happy", "--model", str(path.parent), "--debug"])
        main(["info", str(path.parent), "--debug"])
        return []
    given = {"portrait": good / "good.png", "audio": good / "good.wav"}
    if kind == "mp4":
        del given["portrait"]
    given[{"wav": "audio", "mp3": "audio", "mp4": "video", "json": "emotion-track"}.get(kind, "portrait")] = path
    flags = [text for name, value in given.items() for text in (f"--{name}", str(value))]
    output = path.parent / "out.mp4"
    args = build_parser().parse_args(["dub" if kind == "mp4" else "generate", *flags, "--output", str(output)])
    source = read_video(args.video, FPS) if kind == "mp4" else args.portrait
    return prepare(source, args.audio, words_of(args), model=model, output=args.output).report.notes


def judge(kind: str, path: Path, good: Path, model: Any) -> Verdict:
    """The verdict on one input, read in this process."""
    from eadnet_core.errors import EADNetError
    from eadnet_core.machine import peak_memory_bytes

    heard = Listener()
    logger = logging.getLogger("eadnet_core")
    logger.handlers, logger.propagate = [heard], False
    before, peak = set(path.parent.iterdir()), peak_memory_bytes()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            notes = [*read(kind, path, good, model), *heard.said]
        made = Verdict("worked with a note" if notes else "worked", "; ".join(notes))
    except EADNetError as error:
        is_line = len(str(error).splitlines()) == 1
        made = Verdict("refused" if is_line else "fault", str(error) if is_line else f"of several lines: {error!r}")
    except Exception:
        made = Verdict("fault", traceback.format_exc())
    if left := {p.name for p in set(path.parent.iterdir()) - before}:
        return Verdict("fault", f"left behind: {sorted(left)}; {made.said}")
    if (grown := peak_memory_bytes() - peak) > LIMIT_BYTES:
        return Verdict("fault", f"took {grown / 1e9:.1f} GB; {made.said}")
    return made


def work() -> None:
    """Verdicts for inputs named on stdin, a JSON line each."""
    from eadnet_core.families.load import load_model

    answers, sys.stdout = sys.stdout, sys.stderr
    model = load_model("mini", "cpu")
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        kind, path, good = json.loads(line)
        print(json.dumps(judge(kind, Path(path), Path(good), model)), file=answers, flush=True)


class Worker:
    """The reading process, started anew after a crash or a hang."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> subprocess.Popen[str]:
        """The process, ready."""
        if self.process is None:
            command = [sys.executable, __file__, "--worker"]
            pipe = subprocess.PIPE
            self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True)
            assert self.process.stdout is not None and self.process.stdout.readline() == "ready\n"
        return self.process

    def judge(self, kind: str, path: Path, good: Path) -> Verdict:
        """The verdict on one input."""
        process = self.start()
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps([kind, str(path), str(good)]) + "\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], LIMIT_S)[0]:
            self.stop()
            return Verdict("fault", f"hung for {LIMIT_S:g} s")
        answer = process.stdout.readline()
        if not answer:
            status = process.wait()
            self.stop()
            return Verdict("fault", f"the process died with status {status}")
        return Verdict(*json.loads(answer))

    def stop(self) -> None:
        """End the process."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


# Workflows, to a running ComfyUI


def send(url: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
    """(status, answer) of a request; status 0 where there is no answer."""
    asked = urllib.request.Request(url + path, body, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(asked, timeout=LIMIT_S) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError as error:
        return 0, str(error).encode()


def judge_prompt(url: str, body: bytes) -> Verdict:
    """The verdict on a prompt's JSON, which runs where ComfyUI finds it valid."""
    status, answer = send(url, "/prompt", b'{"prompt": ' + body + b"}")
    if status != 200:
        # What is no JSON at all is ComfyUI's own to answer, with 500; its next request must work.
        is_alive = send(url, "/system_stats")[0] == 200
        return Verdict("refused" if is_alive else "fault", f"{status}: {answer.decode(errors='replace')[:300]}")
    number, end = json.loads(answer)["prompt_id"], time.monotonic() + LIMIT_RUN_S
    while time.monotonic() < end:
        done = json.loads(send(url, f"/history/{number}")[1]).get(number)
        if done is None:
            time.sleep(0.1)
            continue
        errors = [data for event, data in done["status"]["messages"] if event == "execution_error"]
        if not errors:
            return Verdict("worked", "")
        kind, said = errors[0]["exception_type"], errors[0]["exception_message"].strip()
        own = "eadnet" in kind or any("eadnet" in line for line in errors[0]["traceback"])
        is_clear = kind.rpartition(".")[2] in ERRORS and len(said.splitlines()) == 1
        return Verdict("fault" if own and not is_clear else "refused", f"{kind}: {said}")
    send(url, "/interrupt", b"{}")
    return Verdict("fault", f"ran for {LIMIT_RUN_S:g} s")


ERRORS = {"BadInput", "MediaError", "FaceNotFound", "CheckpointError"}


def prompt() -> dict[str, Any]:
    """The first workflow as a prompt, with SPEECH_S of the sample speech."""
    values = json.loads(WORKFLOW.read_text(encoding="utf-8"))
    speak = next(node for node in values["nodes"] if node["type"] == "EADNet_Speak")
    given = [port["name"] for port in speak["inputs"] if "widget" in port]
    names = [part for name in given for part in ((name, "after") if name == "seed" else (name,))]  # what follows a seed
    widgets = dict(zip(names, speak["widgets_values"], strict=True))
    widgets.pop("after", None)
    made = {
        "1": ("LoadImage", {"image": "eadnet_portrait.png"}),
        "2": ("LoadAudio", {"audio": "eadnet_speech.wav"}),
        "3": ("TrimAudioDuration", {"audio": ["2", 0], "start_index": 1.0, "duration": SPEECH_S}),
        "4": ("EADNet_Speak", {"image": ["1", 0], "audio": ["3", 0], **widgets}),
        "5": ("SaveVideo", {"video": ["4", 0], "filename_prefix": "hostile", "format": "auto", "codec": "auto"}),
    }
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in made.items()}


# The table


def run(kinds: list[str], each: int, seed: int, keep: Path | None = None, comfyui: str = "") -> list[dict[str, Any]]:
    """Every input with its verdict; seeds are seed, seed + 1, ... for each kind."""
    found: list[dict[str, Any]] = []
    worker = Worker()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name)
        good_files(base)
        good = {kind: (base / named(kind, "good")).read_bytes() for kind in KINDS}
        good["workflow"] = json.dumps(prompt()).encode()
        try:
            for kind in set(kinds) & set(KINDS):
                made = worker.judge(kind, base / named(kind, "good"), base)
                assert made.verdict == "worked", f"the good {kind}: {made}"
            for kind, number in ((k, n) for k in kinds for n in range(seed, seed + each)):
                mutation, data = hostile(kind, good, number)
                folder = base / f"{kind}-{number}"
                folder.mkdir()
                path = folder / named(kind, "given")
                path.write_bytes(data)
                began = time.perf_counter()
                made = judge_prompt(comfyui, data) if kind == "workflow" else worker.judge(kind, path, base)
                seconds = round(time.perf_counter() - began, 2)
                found.append({"kind": kind, "seed": number, "mutation": mutation, **made._asdict(), "seconds": seconds})
                if keep is not None and made.verdict == "fault":
                    shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)
                shutil.rmtree(folder)
        finally:
            worker.stop()
    return found


def table(found: list[dict[str, Any]]) -> str:
    """Kinds by verdicts, in Markdown."""
    counts = Counter((one["kind"], one["verdict"]) for one in found)
    kinds = list(dict.fromkeys(one["kind"] for one in found))
    rows = [[kind, *(str(counts[kind, verdict]) for verdict in VERDICTS)] for kind in kinds]
    rows.append(["all", *(str(sum(counts[kind, verdict] for kind in kinds)) for verdict in VERDICTS)])
    lines = [["kind", *VERDICTS], ["---"] * (len(VERDICTS) + 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> int:
    """Run them and print the table; 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", action="append", choices=KINDS, help="only these kinds")
    parser.add_argument("--each", type=int, default=25, metavar="N", help="inputs of each kind (default: 25)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="number of the first (default: 0)")
    parser.add_argument("--comfyui", default="", metavar="URL", help="a running ComfyUI for workflows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every input and its verdict")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="leave inputs that are faults here")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        work()
        return 0
    kinds = [*(args.kind or KINDS), *(["workflow"] if args.comfyui else [])]
    found = run(kinds, args.each, args.seed, args.keep, args.comfyui)
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for one in found:
        if one["verdict"] == "fault":
            print(f"{one['kind']} {one['seed']} ({one['mutation']}): {one['said']}\n")
    print(table(found))
    return int(any(one["verdict"] == "fault" for one in found))


if __name__ == "__main__":
    sys.exit(main())
