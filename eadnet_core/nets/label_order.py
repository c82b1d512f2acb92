"""The emotions of a weight file beside those of the library: what a net learned about one may stand elsewhere, or lack.

A file names its emotions in its config. Codes are brought into that order before a net reads them, and what it says of
labels back into the library's. An emotion that the net does not know reaches it as intensity, valence, arousal and
action units alone, and is never what it reads.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..taxonomy import EMOTIONS

UNKNOWN_LOGIT = -30.0
"""Of an emotion that a net does not know: a probability of about 1e-13."""


class LabelOrder:
    """The way between a net's emotions and the library's; tensors pass untouched where they are the same."""

    def __init__(self, stored: Sequence[str]) -> None:
        """`stored` names the net's emotions in its order; those that the library no longer knows are never read."""
        self.n_stored = len(stored)
        self.is_same = tuple(stored) == EMOTIONS
        self.known = [(i, EMOTIONS.index(name)) for i, name in enumerate(stored) if name in EMOTIONS]

    def code_to_net(self, code: Tensor) -> Tensor:
        """Codes [..., labels + rest] in the library's order -> the same in the net's."""
        return code if self.is_same else self._labels(code, self.n_stored, len(EMOTIONS), 0.0, to_net=True)

    def code_from_net(self, code: Tensor) -> Tensor:
        """Codes [..., labels + rest] in the net's order -> the same in the library's; unknown labels have no share."""
        return code if self.is_same else self._labels(code, len(EMOTIONS), self.n_stored, 0.0, to_net=False)

    def logits_from_net(self, outputs: Tensor) -> Tensor:
        """Outputs [..., label logits + rest] in the net's order -> the same in the library's."""
        return outputs if self.is_same else self._labels(outputs, len(EMOTIONS), self.n_stored, UNKNOWN_LOGIT, False)

    def _labels(self, values: Tensor, n_wanted: int, n_given: int, absent: float, to_net: bool) -> Tensor:
        labels = values.new_full((*values.shape[:-1], n_wanted), absent)
        for in_net, in_library in self.known:
            source, target = (in_library, in_net) if to_net else (in_net, in_library)
            labels[..., target] = values[..., source]
        return torch.cat([labels, values[..., n_given:]], dim=-1)
