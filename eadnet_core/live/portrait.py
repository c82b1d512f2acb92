"""Everything live that depends on the portrait alone: made once, and shared by all sessions that show it."""

from __future__ import annotations

import logging
import os
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..errors import BadInput
from ..families.family import Model, with_model_defaults
from ..families.mini import MiniModel, MiniScene
from ..families.painting import Painter
from ..generation.plan import shown_reference, traits_of, unstyled
from ..media.face.subject import find_subject
from ..media.image import called, fitted, read_image
from ..motion.style import Style
from ..nets.between import Added
from ..request import GenerateOptions
from ..taxonomy import MOTION

PICTURE_PX = 512
"""A portrait whose longer side is longer is made smaller: time grows with its pixels."""
NEVER = ("sync_guidance", "prosody_weight")
"""Options that look at a whole clip: they must be 0."""

logger = logging.getLogger(__name__)


class LivePortrait:
    """A portrait that a model can make speak.

    portrait    path, or uint8 [H, W, 3]
    options     those of a clip. What is said of windows, segments and videos has no effect
    picture_px  longest side of the picture
    style       of who speaks; None: nobody in particular
    Raises BadInput for a base and for options that need a whole clip; FaceNotFound.
    """

    def __init__(
        self,
        model: Model,
        portrait: str | os.PathLike[str] | np.ndarray,
        options: GenerateOptions | None = None,
        picture_px: int = PICTURE_PX,
        style: Style | None = None,
    ) -> None:
        if not isinstance(model, MiniModel):
            raise BadInput(f"'{model.name}' is a base, which cannot speak live. Take mini, mini-256 or one like them.")
        own = replace(with_model_defaults(model, options or GenerateOptions()), mask="full")
        for name in NEVER:
            if getattr(own, name):
                raise BadInput(
                    f"{name} is {getattr(own, name):g}, which needs a whole clip. Set it to 0 to speak live."
                )
        self.model, self.options = model, own
        self.traits = traits_of(style, own)
        if self.traits is not None and not model.has_style:
            logger.warning("%s", unstyled(model))
        self.picture = fitted(np.array(read_image(portrait)), picture_px)
        face = (own.face_box, own.face_threshold)
        more = {"face_index": own.face_index, "accept_any_face": own.accept_any_face, "what": called(portrait)}
        subject = find_subject(self.picture[None], 0, *face, **more)  # type: ignore[arg-type]
        with torch.inference_mode():
            self.scene = MiniScene(model, shown_reference(model, subject), own)
            assert self.scene.head is not None
            self.painter = Painter(self.scene.head.features.maps, self.picture, subject.nearest(0))
            self._context = self.scene.context(self.scene.look(0, self._still(1)))
            self.null_emotion = model.emotion_encoder.null(1, 1)[0, 0].float()
            told = self.traits if model.has_style else None
            self.style = None if told is None else torch.from_numpy(told.vector).to(model.device)

    def context(self, n_frames: int) -> Tensor:
        """What the net is shown of the portrait, for each frame: [2C + 1, T, h, w]."""
        return self._context.expand(-1, n_frames, -1, -1)

    def paint(self, x0: Tensor, motion: Tensor, before: Added | None = None, most: int = 1) -> tuple[np.ndarray, Added]:
        """What lies in the painter's box, uint8 [T, h, w, 3], of latents [C, T, h, w] and motion [T, 8].

        before, most  see `VAE.decode_between`; what it gives for the next frames is given on
        """
        assert self.scene.head is not None
        controls = self.scene.controls(x0, self.scene.look(0, motion))
        change, last = self.scene.head.change_between(controls, motion, most, before)
        return self.painter.paint(change), last

    def whole(self, parts: np.ndarray) -> np.ndarray:
        """Whole pictures, uint8 [T, H, W, 3], of what lies in the box, uint8 [T, h, w, 3]."""
        pictures = np.repeat(self.picture[None], len(parts), 0)
        pictures[(slice(None), *self.painter.box.part)] = parts
        return pictures

    def _still(self, n_frames: int) -> Tensor:
        return torch.zeros(n_frames, len(MOTION), device=self.model.device)
