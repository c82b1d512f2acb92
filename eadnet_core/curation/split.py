"""`eadnet curate split`: clips divided so that nobody is in both parts, by the face embedding of a net that is named.

The net is face-api's `face_recognition_model` (128 numbers), one of the judges that `eadnet download judges` fetches.
Two clips are of one person where their embeddings are nearer than 0.6, the distance that face-api itself takes. People
are chains of such pairs (single linkage): who is taken for two by one pair is held together by another. Two who look
alike become one, which costs variety and shares nobody.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..corpus.shards import decode_clip, read_shards, write_shards
from ..emotion.spacing import evenly_spaced
from ..errors import BadInput
from ..media.video.lock import held_folder
from ..media.video.segments import whole
from ..metrics.followed import follow_face
from ..metrics.judging import cut_faces, read_identities
from ..weights.judges import Judges, load_judges
from .manifest import LOCK, writing_rows
from .store import Store, digest

SAME_PERSON = 0.6
"""Distance of embeddings; source: face-api's own examples."""
LOOKED_AT = 3
"""Frames of a clip that are embedded; their mean is taken."""
TRAIN, HELD_OUT, UNKNOWN = "train", "heldout", "unknown"
COLUMNS = {"shard_key": "string", "person": "int32", "split": "string"}
_BLOCK = 1024


@dataclass(frozen=True)
class Split:
    """What became of the clips: how many of each part, and of how many people."""

    clips: dict[str, int]
    people: dict[str, int]

    def __str__(self) -> str:
        """One line for each part.

        >>> print(Split({"train": 8, "heldout": 1, "unknown": 0}, {"train": 3, "heldout": 1}))
        train: 8 clips of 3 people
        heldout: 1 clips of 1 people
        unknown: 0 clips without a face that could be embedded, in neither
        """
        known = [f"{name}: {self.clips[name]} clips of {self.people[name]} people" for name in (TRAIN, HELD_OUT)]
        neither = f"unknown: {self.clips[UNKNOWN]} clips without a face that could be embedded, in neither"
        return "\n".join([*known, neither])


def split_people(
    source: Path,
    output: Path,
    judges: Path,
    held_out: float = 0.1,
    seed: int = 0,
    same: float = SAME_PERSON,
    on_clip: Callable[[int], None] | None = None,
) -> Split:
    """Write the clips of a folder of shards into `output`/train and `output`/heldout, and `people.parquet`.

    held_out  share of the clips that is wanted there; whole people are taken, in an order drawn from `seed`, as long
              as they fit, and one at least where there are two
    Embeddings are kept in `output`/state. Raises BadInput for a source without shards, a share that is none, and clips
    of one person.
    """
    if not 0 < held_out < 1:
        raise BadInput(f"held-out is {held_out:g}; give a share between 0 and 1, such as 0.1.")
    shards = sorted(source.glob("*.tar"))
    if not shards:
        raise BadInput(f"'{source}' holds no shards (.tar). Give the folder that eadnet curate video wrote to.")
    if output.resolve() == source.resolve():
        raise BadInput("The clips would be written beside those that they come from. Give another folder.")
    with held_folder(output, LOCK):
        keys, found = [], []
        store, net = Store(output / "state"), _Net(judges)
        for key, members in read_shards(shards):
            place = digest("identity 1", members["frames.png"], str(SAME_PERSON))
            keys.append(key)
            found.append(store.get(place, partial(net.embed, members))[0])
            if on_clip is not None:
                on_clip(len(keys))
        people = number_people(found, same)
        if len(set(people) - {-1}) < 2:
            raise BadInput(
                f"At a distance of {same:g} all {len(keys)} clips are of one person, or of nobody: nothing can be held "
                "out. If they are of several people, give a smaller --same."
            )
        parts = choose(people, held_out, seed)
        with writing_rows(output / "people.parquet", COLUMNS) as add:
            for key, person, part in zip(keys, people, parts, strict=True):
                add({"shard_key": key, "person": person if person >= 0 else None, "split": part})
        for name in (TRAIN, HELD_OUT):
            written = write_shards(_of(name, shards, parts), output / name)
            for path in (output / name).glob("clips-*.tar"):
                if path not in written:
                    path.unlink()  # of an earlier split
        clips = Counter(parts)
        n_people = {
            name: len({p for p, part in zip(people, parts, strict=True) if part == name}) for name in (TRAIN, HELD_OUT)
        }
        split = Split({name: clips[name] for name in (TRAIN, HELD_OUT, UNKNOWN)}, n_people)
        with whole(output / "split.json", output / ".split.json.partial") as path:
            path.write_text(json.dumps({**vars(split), "same": same, "seed": seed}, indent=1) + "\n", "utf-8")
    return split


class _Net:
    """The judges, loaded when the first clip asks."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._judges: Judges | None = None

    def embed(self, members: Mapping[str, bytes]) -> list[float] | None:
        """The mean embedding [128] of some frames of a clip; None where no face is found in them."""
        self._judges = self._judges or load_judges(self._folder)
        frames = decode_clip(members).frames
        chosen = frames[evenly_spaced(len(frames), LOOKED_AT)]
        # the face is followed from the first frame on, where frames far apart would lose it
        points = [next(iter(follow_face(enlarged(one)[None]))) for one in chosen]
        pairs = zip(chosen, points, strict=True)
        cuts = [cut_faces(enlarged(frame), found) for frame, found in pairs if found is not None]
        if not cuts:
            return None
        mean = read_identities(cuts, self._judges)["faceapi"].mean(0)
        return [round(float(value), 6) for value in mean]


def enlarged(frame: np.ndarray) -> np.ndarray:
    """A picture of 256 pixels or more: smaller ones are enlarged, so that landmarks are found as well."""
    side = frame.shape[0]
    return frame if side >= 256 else np.asarray(Image.fromarray(frame).resize((256, 256), Image.Resampling.BICUBIC))


def number_people(embeddings: Sequence[Sequence[float] | None], same: float = SAME_PERSON) -> list[int]:
    """A number for each clip's person, from 0 in order of first appearance; -1 without an embedding.

    >>> number_people([[0.0], [5.0], None, [0.5], [0.9]])
    [0, 1, -1, 0, 0]
    """
    known = [i for i, one in enumerate(embeddings) if one is not None]
    if not known:
        return [-1] * len(embeddings)
    parent = list(range(len(known)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    points = np.array([embeddings[i] for i in known], np.float32)
    for first in range(0, len(known), _BLOCK):
        block = points[first : first + _BLOCK]
        squares = (block**2).sum(1)[:, None] + (points**2).sum(1) - 2 * block @ points.T
        for i, j in zip(*np.nonzero(squares < same**2), strict=True):
            a, b = root(first + int(i)), root(int(j))
            parent[max(a, b)] = min(a, b)
    numbers: dict[int, int] = {}
    people = [-1] * len(embeddings)
    for place, i in enumerate(known):
        people[i] = numbers.setdefault(root(place), len(numbers))
    return people


def choose(people: Sequence[int], held_out: float, seed: int) -> list[str]:
    """The part of each clip: whole people go to HELD_OUT until `held_out` of the clips are there."""
    sizes = Counter(person for person in people if person >= 0)
    order = np.random.default_rng(seed).permutation(sorted(sizes))
    wanted, taken, chosen = held_out * sizes.total(), 0, set[int]()
    for person in map(int, order):
        if len(chosen) + 1 < len(sizes) and (taken + sizes[person] <= wanted or not chosen):
            chosen.add(person)
            taken += sizes[person]
    return [UNKNOWN if one < 0 else HELD_OUT if one in chosen else TRAIN for one in people]


def _of(name: str, shards: Sequence[Path], parts: Sequence[str]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The clips of one part, byte for byte."""
    for (key, members), part in zip(read_shards(shards), parts, strict=True):
        if part == name:
            yield key, members
