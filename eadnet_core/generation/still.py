"""A still whose face is posed: what depends on the picture alone is computed once, an expression costs one frame.

Frames are made relative to what the model makes of the face at rest, so that sliders at 0 give the picture to the bit
and nothing jumps when one leaves 0.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..emotion.expression import Pose
from ..errors import BadInput
from ..families.family import Model
from ..families.mini import Head, MiniModel
from ..media.face.crop import FaceCrop, crop
from ..media.face.paste import Paster
from ..media.pixels import to_pixels, to_unit
from ..motion.articulation import lifted
from ..nets.canonical import places
from ..nets.vae import LAID_PX, Change

MOST_PX = 2048
"""Of a face's square; more costs memory and shows nothing more."""


class Still:
    """A picture and the face in it that is posed."""

    def __init__(self, model: Model, picture: np.ndarray, face: FaceCrop, most_px: int = MOST_PX) -> None:
        """Reads the face.

        picture  uint8 [H, W, 3]
        face     as `media.face.find.locate` gives it
        most_px  a face whose square is larger is posed at this size and enlarged again
        Raises BadInput for a base, which moves no face by sliders.
        """
        if not isinstance(model, MiniModel):
            raise BadInput(f"'{model.name}' is a base, which has no controls of the face. Take a mini.")
        self.picture, self.face = picture, face.in_whole_pixels()
        self.size_px = max(model.config.vae.size_px, min(round(self.face.side_px), most_px))
        square = crop(picture, self.face, self.size_px)
        with torch.inference_mode():
            self._head = Head(model, square[None])
            self._rest = self._head.change(lifted(self._head.controls), torch.zeros(1, 8, device=model.device))
        self._shown: dict[int, Tensor] = {self.size_px: self._head.shown}
        self._paster: Paster | None = None
        self.own = self._head.controls[0].cpu().numpy()

    def square(self, expression: Pose, size_px: int) -> np.ndarray:
        """The face's square with an expression, uint8 [size_px, size_px, 3], at least as large as the model's own."""
        shown = self._square(size_px)
        if expression.is_rest:
            return to_pixels(shown)[0]
        with torch.inference_mode():
            laid_px = min(size_px, LAID_PX)
            change = self._change(expression).in_picture(self._head.features, laid_px)
            return to_pixels(applied(change, shown))[0]

    def whole(self, expression: Pose) -> np.ndarray:
        """The whole picture with an expression, uint8 [H, W, 3]; outside the face's square to the bit as it was."""
        if expression.is_rest:
            return self.picture.copy()
        if self._paster is None:
            self._paster = Paster(self.picture, self.face, self.size_px)
        return self._paster.paste(self.square(expression, self.size_px))

    def _square(self, size_px: int) -> Tensor:
        """The face's square as it is, [1, 3, size_px, size_px] in -1 .. 1."""
        if size_px not in self._shown:
            square = crop(self.picture, self.face, size_px)
            self._shown[size_px] = to_unit(square[None], self._head.shown.device)
        return self._shown[size_px]

    def _change(self, expression: Pose) -> Change:
        """How the face differs from the picture, less what the model changes at rest."""
        controls = torch.from_numpy(expression.controls(self.own))[None].to(self._head.shown.device)
        motion = torch.from_numpy(expression.motion())[None].to(self._head.shown.device)
        asked, rest = self._head.change(lifted(controls), motion), self._rest
        alpha = ((asked.alpha - rest.alpha) / (1 - rest.alpha).clamp(min=1e-3)).clamp(0, 1)
        return Change(asked.flow - rest.flow, asked.light - rest.light, alpha, asked.paint)


def applied(change: Change, shown: Tensor) -> Tensor:
    """`Change.apply` of a change that is smaller than its picture [1, 3, S, S], in less time: [1, 3, S, S].

    Only the flow is added to places at full size; factors and premultiplied paint are enlarged as they are.
    """

    def enlarged(values: Tensor) -> Tensor:
        if values.shape[-1] == shown.shape[-1]:
            return values
        return F.interpolate(values, size=shown.shape[-1], mode="bilinear", align_corners=False)

    grid = enlarged(change.flow.float()).add_(places(shown)).permute(0, 2, 3, 1)
    moved = F.grid_sample(shown, grid, mode="bicubic", padding_mode="border", align_corners=False)
    share = 1 - change.alpha
    factor, added = share * change.light.exp(), change.alpha * (change.paint + 1) - 1
    return moved.add_(1).mul_(enlarged(factor)).add_(enlarged(added))
