"""Many videos from one table."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from comfy_api.latest import io, ui

from ..eadnet_core.errors import BadInput
from . import bridge
from .sockets import EADModel, HostedModel

TICKS = 1000
"""Of the progress bar, for each row."""
SHOWN_VIDEOS = 20
EXAMPLE = """portrait,voice,words,name
eadnet_portrait.png,eadnet_speech.wav,delighted and about to laugh,delighted
eadnet_portrait.png,eadnet_speech.wav,quietly furious,furious"""


class Batch(io.ComfyNode):
    """Makes a video for each row of a manifest; what is done is skipped."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return bridge.schema(
            node_id="EADNet_Batch",
            display_name="EAD-Net Batch",
            description="Makes a video for each row of a table, in ComfyUI's output folder. A row that fails does not "
            "stop the others. Run again and only what is new, changed or failed is made.",
            inputs=[
                EADModel.Input(
                    "model", tooltip="The model, from the Loader or the Denoiser, whose settings rows take."
                ),
                io.String.Input(
                    "manifest",
                    multiline=True,
                    default=EXAMPLE,
                    tooltip="A row for each video: CSV with the names of columns first, cells from a spreadsheet, or "
                    "JSON lines. Or the name of a .csv, .tsv or .jsonl in ComfyUI's input folder, where portraits and "
                    "voices lie too. Time grows with the rows. Default: an example.",
                ),
                io.String.Input(
                    "folder",
                    default="eadnet_batch",
                    tooltip="Where videos, records and batch.json go, in ComfyUI's output folder. No cost. "
                    "Default: eadnet_batch.",
                ),
            ],
            outputs=[io.String.Output("report", tooltip="What became of each row, as JSON: that of batch.json.")],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> float:
        return float("nan")  # the files that rows name may have changed; what is done is skipped

    @classmethod
    def execute(cls, model: HostedModel, manifest: str, folder: str) -> io.NodeOutput:
        from ..eadnet_core.generation.batch import FAILED, KEPT, MADE, run_batch

        rows = _rows(manifest, model)
        path, subfolder = bridge.output_folder(folder)
        bar = bridge.Bar(TICKS * len(rows))

        def follow(done: int, total: int, row: Any, progress: Any) -> None:
            ticks = int(TICKS * (done + progress.done / max(1, progress.total)))
            bar.follow(dataclasses.replace(progress, done=ticks, total=TICKS * total))

        report = run_batch(
            rows,
            path,
            lambda: bridge.resident(model),
            model.model.folder,
            on_progress=follow,
            cancel=bridge.check_cancel,
            has_settings=bridge.keeps_settings(),
        )
        made = [o for o in report.outcomes if o.status in (MADE, KEPT) and _is_shown(path, o.name)][:SHOWN_VIDEOS]
        shown: dict[str, Any] = {"text": [report.table()]}
        if made:
            files = [ui.SavedResult(f"{outcome.name}.mp4", subfolder, io.FolderType.output) for outcome in made]
            shown |= ui.PreviewVideo(files).as_dict()
        if report.counts[FAILED] == len(rows):
            raise BadInput(f"No row could be made.\n{report.table()}")
        return io.NodeOutput(json.dumps(report.to_dict(), ensure_ascii=False), ui=shown)


def _is_shown(folder: Any, name: str) -> bool:
    """Whether a row's video is one that browsers play; one with an alpha is a .mov of ProRes."""
    return (Path(folder) / f"{name}.mp4").is_file()


def _rows(manifest: str, model: HostedModel) -> list[Any]:
    """The rows of the widget's text, or of the file that it names; files lie in the input folder."""
    from ..eadnet_core.generation.rows import SUFFIXES, parse_rows, read_rows

    def find(cell: str) -> Path:
        return Path(bridge.input_file(cell, "", "input"))

    text = manifest.strip()
    if "\n" not in text and text.lower().endswith(SUFFIXES):
        return read_rows(Path(bridge.input_file(text, "", "input")), find, model.options)
    return parse_rows(text, find, model.options)
