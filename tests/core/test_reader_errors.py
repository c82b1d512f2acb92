"""What the reader of controls gets wrong: found where it is known, and imitated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from eadnet_core.nets.vae import VAE
from eadnet_core.training.faces import FaceCache
from eadnet_core.training.reader_errors import PERSON_FACTOR, ReaderErrors, fit_errors, measure_errors
from tests.conftest import Tiny


@pytest.fixture(scope="module")
def known() -> ReaderErrors:
    """Errors of three controls: the second is partly taken for the first; the third shakes most."""
    gain = torch.tensor([[0.8, 0.0, 0.0], [0.3, 0.6, 0.0], [0.0, 0.0, 1.0]])
    person = torch.tensor([[0.10, 0.05, 0.0], [0.0, 0.08, 0.0], [0.0, 0.0, 0.02]])
    return ReaderErrors(gain, torch.tensor([0.1, 0.0, -0.05]), person, torch.diag(torch.tensor([0.02, 0.04, 0.2])))


def test_errors_that_are_known_are_found(known: ReaderErrors) -> None:
    rng = np.random.default_rng(0)
    true = torch.from_numpy(rng.uniform(0, 1, (4000, 6, 3)).astype(np.float32))
    found = fit_errors(known.readings(true, rng), true)
    torch.testing.assert_close(found.gain, known.gain, atol=0.02, rtol=0)
    torch.testing.assert_close(found.bias, known.bias, atol=0.02, rtol=0)
    torch.testing.assert_close(found.picture.T @ found.picture, known.picture.T @ known.picture, atol=2e-3, rtol=0)
    of_person = PERSON_FACTOR**2 * known.person.T @ known.person
    torch.testing.assert_close(found.person.T @ found.person, of_person, atol=4e-3, rtol=0)


def test_people_differ_and_a_person_stays_the_same(known: ReaderErrors) -> None:
    steady = ReaderErrors(known.gain, known.bias, known.person, torch.zeros(3, 3))
    read = steady.readings(torch.zeros(50, 4, 3), np.random.default_rng(1))
    torch.testing.assert_close(read, read[:, :1].expand_as(read))
    assert read[:, 0].std(0)[0] > 0.1


def test_errors_are_measured_on_pairs_of_heads(tiny: Tiny, faces: FaceCache) -> None:
    vae = tiny.net("vae")
    assert isinstance(vae, VAE)
    errors = measure_errors(vae, faces)
    read = errors.readings(torch.zeros(2, 3, 28), np.random.default_rng(2))
    assert read.shape == (2, 3, 28) and read.isfinite().all()
