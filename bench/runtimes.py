"""The net of a frame in several runtimes: milliseconds of processor time, and how far the results lie apart.

pip install onnx onnxscript onnxruntime openvino nncf    # what is not there is left out
python bench/runtimes.py --model mini --rounds 15

One frame of the sample portrait is decoded by the net alone, on one thread, in all runtimes in turn, so that other work
disturbs all alike. int8 is calibrated on --calibrate random performances of the same portrait, and compared on others.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from eadnet_core.families.load import load_model
from eadnet_core.families.mini import Head, MiniModel
from eadnet_core.generation.plan import shown_reference
from eadnet_core.media.face.subject import find_subject
from eadnet_core.media.image import read_image
from eadnet_core.nets.motion_basis import N_POSE
from eadnet_core.nets.vae import CONTROL_SIZE, Prior
from eadnet_core.weights.folders import ASSETS

Run = Callable[[tuple[Tensor, ...]], np.ndarray]
OPSET = 20


class Net(nn.Module):
    """The decoder with plain tensors for arguments: what the portrait decides is kept."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.decoder, self.features = head.model.vae.decoder, head.features

    def forward(
        self, latents: Tensor, still: Tensor, conditions: Tensor, flow: Tensor, light: Tensor, paint: Tensor
    ) -> Tensor:
        """Arguments as of `Decoder.forward`: flow, light, alpha and paint, [1, 9, S, S]."""
        change = self.decoder(latents, still, conditions, self.features, Prior(flow, light, paint))
        return torch.cat([change.flow, change.light, change.alpha, change.paint], 1)


def inputs_of(head: Head, seed: int) -> tuple[Tensor, ...]:
    """Those of one frame, as `VAE.predict` makes them."""
    vae, generator = head.model.vae, torch.Generator().manual_seed(seed)
    still = head.features.controls
    controls = (still + 0.6 * torch.rand(still.shape, generator=generator) - 0.2).clamp(0, 1.2)
    pose = 0.1 * torch.randn(1, N_POSE, generator=generator)
    flow, light = vae.motion_basis(controls, pose, still)
    conditions = torch.cat([controls / CONTROL_SIZE, (controls - still) / CONTROL_SIZE, pose / vae.pose_size], 1)
    paint = vae.motion_basis.paint(controls, pose, head.features.image)
    return vae.motion_latents(controls), vae.motion_latents(still), conditions, flow, light, paint


def runtimes(net: Net, calibration: list[tuple[Tensor, ...]], folder: Path) -> Iterator[tuple[str, Run]]:
    """What can be run here; what fails says so and is left out."""
    makers: dict[str, Callable[[], Run]] = {
        "torch, eager": lambda: lambda given: net(*given).numpy(),
        "torch.compile": lambda: compiled(net),
    }
    if has("onnx", "onnxscript"):
        path = exported(net, calibration[0], folder / "net.onnx")
        if has("onnxruntime"):
            makers["ONNX Runtime, float32"] = lambda: in_onnxruntime(path)
            makers["ONNX Runtime, int8"] = lambda: in_onnxruntime(quantised(path, calibration, folder / "int8.onnx"))
        if has("openvino"):
            makers["OpenVINO, float32"] = lambda: in_openvino(path, None)
            if has("nncf"):
                makers["OpenVINO, int8"] = lambda: in_openvino(path, calibration)
    for name, make in makers.items():
        try:
            run = make()
            run(calibration[0])
        except Exception as error:  # a runtime that cannot run this net is a result
            print(f"  {name}: {type(error).__name__}: {str(error).splitlines()[0][:160]}")
            continue
        yield name, run


def has(*packages: str) -> bool:
    """Whether all of them are installed."""
    return all(importlib.util.find_spec(name) for name in packages)


def compiled(net: Net) -> Run:
    """With torch's own compiler, which needs one for C++."""
    module = torch.compile(net)
    return lambda given: module(*given).numpy()


def exported(net: Net, given: tuple[Tensor, ...], path: Path) -> Path:
    """The net as an ONNX file."""
    names = [f"i{i}" for i in range(len(given))]
    torch.onnx.export(
        net, given, str(path), input_names=names, output_names=["out"], opset_version=OPSET, dynamo=True, verbose=False
    )
    return path


def numbered(given: tuple[Tensor, ...]) -> dict[str, np.ndarray]:
    """Inputs by their names in the file."""
    return {f"i{i}": value.numpy() for i, value in enumerate(given)}


def in_onnxruntime(path: Path) -> Run:
    """On one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    wanted = {one.name for one in session.get_inputs()}
    return lambda given: session.run(None, {k: v for k, v in numbered(given).items() if k in wanted})[0]


def quantised(path: Path, calibration: list[tuple[Tensor, ...]], target: Path) -> Path:
    """Convolutions and products in int8, by the ranges that were seen."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.left = iter([numbered(given) for given in calibration])

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    quantize_static(
        str(path),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    return target


def in_openvino(path: Path, calibration: list[tuple[Tensor, ...]] | None) -> Run:
    """On one thread; in int8 where there are inputs to calibrate with."""
    import openvino

    core = openvino.Core()
    found: Any = core.read_model(str(path))
    if calibration:
        import nncf

        found = nncf.quantize(found, nncf.Dataset([numbered(given) for given in calibration]))
    ready = core.compile_model(
        found, "CPU", {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )
    wanted = {one.get_any_name() for one in ready.inputs}
    return lambda given: ready({k: v for k, v in numbered(given).items() if k in wanted})[0]


def main() -> None:
    """Print one line for each runtime."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--calibrate", type=int, default=64, metavar="N", help="frames for int8")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(args.model, "cpu", "float32")
    assert isinstance(model, MiniModel)
    square = shown_reference(model, find_subject(np.array(read_image(ASSETS / "sample" / "portrait.png"))[None], 0))
    assert isinstance(square, np.ndarray)
    with torch.no_grad(), tempfile.TemporaryDirectory() as folder:
        head = Head(model, square[None])
        net = Net(head).eval()
        calibration = [inputs_of(head, seed) for seed in range(args.calibrate)]
        others = [inputs_of(head, 1000 + seed) for seed in range(args.rounds)]
        runs = dict(runtimes(net, calibration, Path(folder)))
        report(runs, others, model.config.vae.size_px)


def report(runs: dict[str, Run], others: list[tuple[Tensor, ...]], size_px: int) -> None:
    """Milliseconds, and the error of the flow in pixels and of the rest on its own scale."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    made: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    for given in others:
        for name, run in runs.items():
            began = time.process_time()
            made[name].append(run(given))
            taken[name].append(1000 * (time.process_time() - began))
    truth = np.concatenate(made["torch, eager"])
    for name in runs:
        error = np.concatenate(made[name]) - truth
        flow, rest = error[:, :2] * size_px / 2, error[:, 2:]
        rms = [float(np.sqrt(np.mean(np.square(part)))) for part in (flow, rest)]
        ratio = statistics.median(a / b for a, b in zip(taken[name], taken["torch, eager"], strict=True))
        print(
            f"  {name:24s} {statistics.median(taken[name]):6.1f} ms, {ratio:.2f} of eager; "
            f"flow off by {rms[0]:.4f} px (most {np.abs(flow).max():.3f}), the rest by {rms[1]:.5f}"
        )


if __name__ == "__main__":
    main()
