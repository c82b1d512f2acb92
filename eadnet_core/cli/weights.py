"""`eadnet download` and `eadnet convert`: public weights from their publishers into the folder of a base."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from .arguments import command


def add_download(commands: Any) -> None:
    """`eadnet download`."""
    parser = command(commands, "download", "Get public weights from their publishers.", _download)
    parser.add_argument(
        "name",
        help="latentsync-1.6, latentsync-1.5, sd-vae-ft-mse, whisper-tiny or stable-syncnet (docs/base.md), or judges "
        "(docs/portraits.md)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("public"), metavar="FOLDER", help="folder to write to (default: public)"
    )


def _download(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..weights.download import download, find_public

    if args.name == "judges":
        _download_judges(args.output / args.name)
        return
    file = find_public(args.name)
    print(f"{file.path} of {file.repository}, {file.size_bytes / 1e6:.0f} MB\nlicence: {file.licence}", flush=True)
    with tqdm(desc="download", total=file.size_bytes, unit="B", unit_scale=True) as bar:
        path = download(file, args.output / args.name, lambda there: bar.update(there - bar.n))
    print(f"{path}\nnext: {file.use} '{path}' --output FOLDER")


def _download_judges(folder: Path) -> None:
    from tqdm import tqdm

    from ..weights.judge_files import ARCHIVES, download_judges

    size = sum(archive.file.size_bytes for archive in ARCHIVES)
    for archive in ARCHIVES:
        print(
            f"{archive.file.url}, {archive.file.size_bytes / 1e6:.0f} MB\nlicence: {archive.file.licence}", flush=True
        )
    with tqdm(desc="download", total=size, unit="B", unit_scale=True) as bar:
        download_judges(folder, lambda there: bar.update(there - bar.n))
    print(f"{folder}\nnext: eadnet evaluate --portraits FOLDER --voices FOLDER --judges '{folder}'")


def add_convert(commands: Any) -> None:
    """`eadnet convert`."""
    parser = command(commands, "convert", "Make the folder of a base, or a file of it, from public weights.", _convert)
    for name, text in {
        "unet": "latentsync_unet.pt of LatentSync 1.5 or 1.6",
        "vae": "sd-vae-ft-mse: diffusers folder or single file",
        "whisper": "Whisper tiny: OpenAI's tiny.pt or a transformers folder",
        "syncnet": "stable_syncnet.pt of LatentSync (optional)",
    }.items():
        parser.add_argument(f"--{name}", type=Path, metavar="PATH", help=text)
    parser.add_argument(
        "--preset", default="base-512", help="base-512 for LatentSync 1.6, base-256 for 1.5 (default: base-512)"
    )
    parser.add_argument("--half", action="store_true", help="store float16 (default: the file's own bits)")
    parser.add_argument("--output", type=Path, required=True, metavar="FOLDER", help="folder of the model")


def _convert(args: argparse.Namespace) -> None:
    from ..weights.convert import SOURCES, convert

    files = {name: getattr(args, name) for name in SOURCES if getattr(args, name) is not None}
    for found in convert(files, args.output, args.preset, half=args.half):
        print(f"{found}\n  -> {args.output / SOURCES[found.source].file}.safetensors")
