"""`eadnet download` and `eadnet convert`: public weights and the anatomy of the 3-D heads, from their publishers."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any

from .arguments import command


def add_download(commands: Any) -> None:
    """`eadnet download`."""
    parser = command(commands, "download", "Get public weights, the anatomy of the 3-D heads, or judges.", _download)
    parser.add_argument(
        "name",
        help="heads (docs/heads.md), judges (docs/portraits.md), latentsync-1.6, latentsync-1.5, sd-vae-ft-mse, "
        "whisper-tiny or stable-syncnet (docs/base.md)",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("public"), metavar="FOLDER", help="folder to write to (default: public)"
    )
    text = "heads: folder with makehuman-core, mpfb2 and ICT-FaceKit checked out (default: they are downloaded)"
    parser.add_argument("--from", dest="checkouts", type=Path, metavar="FOLDER", help=text)


def _download(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..errors import BadInput
    from ..weights.download import download, find_public

    if args.name == "heads":
        return _download_heads(args)
    if args.checkouts is not None:
        raise BadInput(f"--from goes with 'heads' alone, not with '{args.name}'. Leave it away.")
    if args.name == "judges":
        _download_judges(args.output / args.name)
        return
    file = find_public(args.name)
    print(f"{file.path} of {file.repository}, {file.size_bytes / 1e6:.0f} MB\nlicence: {file.licence}", flush=True)
    with tqdm(desc="download", total=file.size_bytes, unit="B", unit_scale=True) as bar:
        path = download(file, args.output / args.name, lambda there: bar.update(there - bar.n))
    print(f"{path}\nnext: {file.use} '{path}' --output FOLDER")


def _download_heads(args: argparse.Namespace) -> None:
    from tqdm import tqdm

    from ..heads.anatomy import FOLDER_VARIABLE, is_anatomy
    from ..heads.derive import derive_into
    from ..heads.sources import SOURCES, download_source, find_folders, listed, missing

    pack, parts = args.output / "heads" / "pack", args.output / "heads" / "sources"
    if is_anatomy(pack):
        print(f"{pack} is there already")
        return
    for source in SOURCES.values():
        print(f"{source.repository} at {source.commit}\nlicence: {source.licence}", flush=True)
    if args.checkouts is not None:
        folders = find_folders(args.checkouts)
    else:
        folders = {name: parts / name for name in SOURCES}
        for name, source in SOURCES.items():
            n_bytes = sum(file.size_bytes for file in missing(folders[name], listed(name)))
            with tqdm(desc=name, total=n_bytes, unit="B", unit_scale=True) as bar:
                download_source(source, listed(name), folders[name], bar.update)
    derive_into(folders, pack, lambda step: print(f"derive: {step}", flush=True))
    shutil.rmtree(parts, ignore_errors=True)
    print(f"{pack}\nfound there by itself in this folder; elsewhere: --heads FOLDER, or {FOLDER_VARIABLE}=FOLDER")


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
