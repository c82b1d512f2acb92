"""Two runs on one output, a disk that fills, names that no file system takes, files that cannot be read."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from eadnet_core.cli import main
from eadnet_core.cli.arguments import write_json
from eadnet_core.errors import BadInput, MediaError
from eadnet_core.media.image import read_image
from eadnet_core.media.sound.audio import read_audio
from eadnet_core.media.video.files import check_writable, read_video
from eadnet_core.media.video.lock import Lock
from eadnet_core.media.video.segments import LOCK, MANIFEST, SegmentFolder, check_segments, segment_folder
from eadnet_core.motion.style import EVERYBODY
from eadnet_core.motion.style_file import write_style
from eadnet_core.paths import check_path, check_source, is_disk_full, readable_by_others, shown, writing
from eadnet_core.weights.files import write_weights

FRAMES = [np.zeros((4, 32, 32, 3), np.uint8)]
ROOT = Path(__file__).parents[2]
has_dev_full = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")


def opened(output: Path, resume: bool = False, n_frames: int = 8) -> SegmentFolder:
    return SegmentFolder(output, {}, n_frames, 4, resume=resume)


def add(folder: SegmentFolder, number: int, n_values: int = 1) -> None:
    folder.add(number, 0, (32, 32), FRAMES, {"x0": torch.zeros(n_values)}, {"state": torch.zeros(n_values)})


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process that says a line when it is ready, and ends when its input does."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])},
    )


HOLDER = """
import sys
from eadnet_core.media.video.segments import SegmentFolder
with SegmentFolder(sys.argv[1], {}, 8, 4):
    print("ready", flush=True)
    sys.stdin.read()
"""


# ---- two runs


@pytest.mark.parametrize("resume", [False, True])
def test_a_second_run_is_refused_while_the_first_lives(tmp_path: Path, resume: bool) -> None:
    output = tmp_path / "out.mp4"
    with opened(output) as folder:
        add(folder, 0)
        (folder.path / ".segment-00001-half").mkdir()
        for begin in (check_segments, opened):
            with pytest.raises(BadInput, match=r"'out.mp4' is being made by this process, since 20\d\d-"):
                begin(output, resume)
        assert (folder.path / ".segment-00001-half").is_dir()
        add(folder, 1)
    assert sorted(p.name for p in segment_folder(output).iterdir() if p.name == LOCK) == []
    opened(output, resume=True).remove()
    assert list(tmp_path.iterdir()) == []


def test_another_process_is_named_and_its_death_frees_the_output(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    with start(HOLDER, str(output)) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "ready\n"
        for resume in (False, True):
            with pytest.raises(BadInput, match=f"is being made by process {holder.pid}, since"):
                check_segments(output, resume)
        holder.kill()
    assert (segment_folder(output) / LOCK).exists()
    with opened(output, resume=True) as folder:
        folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_of_a_run_that_died_at_once_is_in_nobodys_way(tmp_path: Path) -> None:
    segment_folder(tmp_path / "out.mp4").mkdir()
    (segment_folder(tmp_path / "out.mp4") / LOCK).write_text("{")
    (segment_folder(tmp_path / "out.mp4") / f"{MANIFEST}.partial").write_text("{")
    with opened(tmp_path / "out.mp4") as folder:
        folder.remove()
    assert list(tmp_path.iterdir()) == []


def test_one_of_many_threads_has_the_lock(tmp_path: Path) -> None:
    ready, taken, refused = threading.Barrier(8), [], []

    def run() -> None:
        ready.wait()
        try:
            taken.append(Lock(tmp_path / "a" / LOCK, "out.mp4"))
        except BadInput as error:
            refused.append(error)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 1 and len(refused) == 7
    taken[0].release()
    taken[0].release()
    assert list((tmp_path / "a").iterdir()) == []


def test_a_process_that_was_started_does_not_hold_the_lock(tmp_path: Path) -> None:
    lock = Lock(tmp_path / LOCK, "out.mp4")
    with start("import sys; print('ready', flush=True); sys.stdin.read()") as child:
        assert child.stdout is not None and child.stdout.readline() == "ready\n"
        lock.release()
        Lock(tmp_path / LOCK, "out.mp4").release()


def test_a_refused_run_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_bytes(b"precious")
    with pytest.raises(BadInput, match="exists already"):
        opened(tmp_path / "out.mp4")
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out.eadnet").write_text("mine")
    for resume in (False, True):
        with pytest.raises(BadInput, match="is no folder"):
            check_segments(tmp_path / "out.mp4", resume)


# ---- a full disk


@has_dev_full
def test_a_disk_that_fills_is_one_line_and_keeps_what_is_finished(tmp_path: Path) -> None:
    output = tmp_path / "out.mp4"
    text = (
        r"The disk is full: .* MB are free\. Free some\. 1 of 2 segments are finished and kept in .*go on with --resume"
    )
    with pytest.raises(MediaError, match=text) as caught, opened(output) as folder:
        add(folder, 0)
        (folder.path / f"{MANIFEST}.partial").symlink_to("/dev/full")
        add(folder, 1)
    assert "\n" not in str(caught.value)
    assert [p.name for p in segment_folder(output).glob("*.partial")] == []
    with opened(output, resume=True) as folder:
        assert [folder.is_finished(i) for i in (0, 1)] == [True, False] and folder.sampler_state() is not None
        add(folder, 1)
        folder.remove()
    assert list(tmp_path.iterdir()) == []


@has_dev_full
def test_a_disk_that_is_full_from_the_start_leaves_nothing(tmp_path: Path) -> None:
    folder = segment_folder(tmp_path / "out.mp4")
    folder.mkdir()
    (folder / f"{MANIFEST}.partial").symlink_to("/dev/full")
    with pytest.raises(MediaError, match="The disk is full"):
        opened(tmp_path / "out.mp4")
    assert list(tmp_path.iterdir()) == []


@has_dev_full
def test_reports_and_lists_on_a_full_disk(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to("/dev/full")
    with pytest.raises(MediaError, match=r"The disk is full: .*a\.json.* Free some\. Then run again\."):
        write_json(tmp_path / "a.json", {"a": 1})
    with (
        pytest.raises(MediaError, match=r"The disk is full: .*b.txt.*All is well"),
        writing(tmp_path / "b.txt", "All is well."),
    ):
        (tmp_path / "b.txt").write_text("half of it")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert not (tmp_path / "b.txt").exists()


FILLING = """
import os, sys
import numpy as np, torch
from eadnet_core.errors import MediaError
from eadnet_core.media.video.segments import SegmentFolder
output, what = sys.argv[1] + "/out.mp4", sys.argv[2]
if sys.argv[3:]:
    import resource, signal
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    with SegmentFolder(output, {}, 8, 4) as folder:
        for number in (0, 1):
            sizes = {name: 3_000_000 if number and name == what else 1 for name in ("latents", "state")}
            latents, state = ({"x0": torch.rand(n)} for n in sizes.values())
            folder.add(number, 0, (32, 32), [np.zeros((4, 32, 32, 3), np.uint8)], latents, state)
except MediaError as error:
    print(error, flush=True)
with SegmentFolder(output, {}, 8, 4, resume=True) as folder:
    print([folder.is_finished(i) for i in (0, 1)], folder.sampler_state() is not None, flush=True)
print(sorted(os.listdir(folder.path)))
"""
LEFT = "['manifest.json', 'sampler-00000.safetensors', 'segment-00000.mp4', 'segment-00000.safetensors']"


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, check=False)


@pytest.mark.parametrize("what", ["latents", "state"])
def test_a_really_small_file_system(tmp_path: Path, what: str) -> None:
    """A tmpfs of 4 MB, in a name space of its own."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("there is no unshare and mount")
    inside = f'mount -t tmpfs -o size=4m tmpfs "$0" 2>/dev/null || exit 77; exec "{sys.executable}" -c "$1" "$0" "$2"'
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", inside, str(tmp_path), FILLING, what]
    done = run(mounted)
    if done.returncode == 77 or "unshare:" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip() or 'mount is refused'}")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("The disk is full: ") and "1 of 2 segments are finished and kept" in lines[0]
    assert lines[1:] == ["[True, False] True", LEFT]


@pytest.mark.skipif(os.name == "nt", reason="Windows limits no file")
@pytest.mark.parametrize("what", ["latents", "state"])
def test_a_file_that_may_not_grow(tmp_path: Path, what: str) -> None:
    """As on a file system that takes no larger one."""
    done = run([sys.executable, "-c", FILLING, str(tmp_path), what, "1000000"])
    lines = done.stdout.splitlines()
    assert "cannot be read or written" in lines[0] and "1 of 2 segments are finished and kept" in lines[0], done.stderr
    assert lines[1:] == ["[True, False] True", LEFT]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_weights_and_styles_can_be_read_by_whoever_reads_other_files(tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.touch()
    write_weights(tmp_path / "weights.safetensors", "vae", {"weight": torch.zeros(2)}, {})
    write_style(tmp_path / "style.safetensors", EVERYBODY)
    for name in ("weights.safetensors", "style.safetensors"):
        assert (tmp_path / name).stat().st_mode == other.stat().st_mode


def test_a_file_that_was_not_written_leaves_no_empty_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError), readable_by_others(tmp_path / "new.safetensors"):
        raise ValueError
    assert not (tmp_path / "new.safetensors").exists()


def test_libraries_that_say_it_in_words_are_understood() -> None:
    assert is_disk_full(RuntimeError("I/O error: No space left on device (os error 28)"))
    assert is_disk_full(OSError(errno.EDQUOT, "quota")) and not is_disk_full(OSError(errno.EACCES, "no"))


# ---- names and files


LONG = ["a" * 250, "脸" * 85, "😀" * 63]
"""Names whose .mp4 fits into 255 bytes where they are too long with .eadnet, or not at all."""


@pytest.mark.parametrize("stem", LONG, ids=["ascii", "chinese", "emoji"])
def test_an_output_with_a_name_that_is_too_long(tmp_path: Path, stem: str) -> None:
    if os.name == "nt":
        pytest.skip("Windows counts characters")
    with pytest.raises(BadInput, match=r"is too long for the file system.*Give a shorter name") as caught:
        check_segments(tmp_path / f"{stem}.mp4", resume=False)
    assert len(str(caught.value)) < 400 and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    check_segments(tmp_path / f"{stem[: len(stem) * 9 // 10]}.mp4", resume=False)


READERS: dict[str, Callable[[str], object]] = {
    "Picture": read_image,
    "Audio": read_audio,
    "Video": read_video,
    "Output": lambda path: check_writable(path, overwrite=True),
    "Script": lambda path: check_source(path, "Script"),
}


@pytest.mark.parametrize("what", READERS)
def test_paths_that_no_file_can_have(tmp_path: Path, what: str) -> None:
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    for name, words in (("b" * 300 + ".mp4", "longest name has 304 bytes"), ("c\0.mp4", "null"), ("loop.mp4", "links")):
        with pytest.raises(BadInput, match=rf"{what} '.*{words}") as caught:
            READERS[what](str(tmp_path / name))
        assert "\n" not in str(caught.value)
    with pytest.raises(BadInput, match="too long"):
        READERS[what](str(tmp_path / "/".join(["d" * 200] * 30)) + ".mp4")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names")
@pytest.mark.parametrize("what", ["Picture", "Audio", "Video", "Script"])
def test_pipes_and_devices_are_not_waited_for(tmp_path: Path, what: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(BadInput, match=f"{what} '.*' is a pipe or a device"):
            READERS[what](str(path))


def test_a_closed_folder(tmp_path: Path) -> None:
    if os.name == "nt" or os.geteuid() == 0:
        pytest.skip("this user may look into every folder")
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(BadInput, match="Permission denied"):
        check_path(tmp_path / "closed" / "a.wav", "Audio")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (OSError(errno.EIO, "Input/output error", "a.wav"), "eadnet: 'a.wav': Input/output error. Check"),
        (
            OSError(errno.ENOSPC, "No space left on device", "b"),
            "eadnet: 'b': No space left on device. The disk is full.",
        ),
        (SafetensorError("I/O error: No space left on device (os error 28)"), "The disk is full."),
    ],
    ids=["input-output", "full", "full by a library"],
)
def test_what_the_system_refuses_anywhere_is_one_line(
    error: Exception, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        raise error

    monkeypatch.setattr("eadnet_core.cli.info._info", refuse)
    assert main(["info"]) == 2
    said = capsys.readouterr().err
    assert line in said and said.count("\n") == 1
    with pytest.raises(type(error)):
        main(["--debug", "info"])


def test_paths_in_messages_stay_in_one_short_line() -> None:
    assert shown("a\nb") == "a\\nb" and len(shown("x" * 9000)) <= 160


@pytest.mark.parametrize(
    "flags",
    [
        ["--portrait", "p" * 300],
        ["--audio", "p" * 300],
        ["--emotion-track", "p" * 300],
        ["--script", "p" * 300],
        ["--transcript", "p" * 300, "--script", "missing.txt"],
        ["--output", "p" * 250 + ".mp4"],
        ["--output", ""],
        ["--report", "p" * 300 + ".png"],
        ["--json", "p" * 300 + ".json"],
        ["--model", "p" * 300],
        ["--emotion-from", "p" * 300],
    ],
    ids=lambda flags: flags[0],
)
def test_the_command_line_says_one_line(
    flags: list[str], tmp_path: Path, tiny_folder: Path, capsys: pytest.CaptureFixture[str], portrait: np.ndarray
) -> None:
    """Status 2 and no traceback, whichever path is bad; the flags given last win."""
    from PIL import Image

    Image.fromarray(portrait).save(tmp_path / "face.png")
    import soundfile

    soundfile.write(tmp_path / "a.wav", np.zeros(16_000, np.float32), 16_000)
    given = [
        "--portrait",
        str(tmp_path / "face.png"),
        "--audio",
        str(tmp_path / "a.wav"),
        "--face-box",
        "20,20,108,108",
    ]
    given += ["--output", str(tmp_path / "out.mp4"), "--model", str(tiny_folder), "--device", "cpu", *flags]
    assert main(["generate", *given]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("eadnet:")]
    assert len(lines) == 1 and "Traceback" not in lines[0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav", "face.png"]
