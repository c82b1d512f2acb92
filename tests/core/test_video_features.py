"""Video features: the masked loss falls, features tell motion apart and pass gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from eadnet_core.config import VideoFeaturesConfig
from eadnet_core.nets.video_features import VideoFeatures

TINY = VideoFeaturesConfig(in_channels=4, frames=8, width=24, layers=1, heads=2)


def build() -> VideoFeatures:
    torch.manual_seed(0)
    return VideoFeatures(TINY)


def waves(n_clips: int, n_frames: int = 8) -> Tensor:
    """Clips of smooth waves that drift, [B, 4, T, 16, 16]."""
    t, y, x = (torch.arange(n, dtype=torch.float32) for n in (n_frames, 16, 16))
    rates = torch.rand(n_clips, 4, 3, 1, 1, 1)
    angles = rates[:, :, 0] * t.view(-1, 1, 1) + rates[:, :, 1] * y.view(-1, 1) + rates[:, :, 2] * x
    return angles.sin()


def test_learning_to_fill_in_masked_tubes() -> None:
    net = build()
    optimiser = torch.optim.Adam(net.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        loss = net(waves(8))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(p.grad is not None and float(p.grad.abs().max()) > 0 for p in net.parameters())
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


def test_masked_patches_are_not_seen() -> None:
    """With the same draw of places, what lies in the hidden tubes changes the target, never the prediction."""
    net, clip = build(), waves(1)
    torch.manual_seed(3)
    hidden = torch.rand(1, 16).argsort(1)[0, 4:]
    changed = clip.clone().unflatten(3, (4, 4)).unflatten(5, (4, 4))
    for place in hidden.tolist():
        changed[:, :, :, place // 4, :, place % 4] += 5
    seen = []
    net.predict.register_forward_hook(lambda *call: seen.append(call[2]))
    for latents in (clip, changed.flatten(5, 6).flatten(3, 4)):
        torch.manual_seed(3)
        net(latents)
    assert torch.equal(seen[0], seen[1])


def test_features_pool_the_clip_and_pass_gradients() -> None:
    net, clip = build().eval(), waves(3).requires_grad_()
    features = net.features(clip)
    assert features.shape == (3, 24)
    features.square().sum().backward()
    assert clip.grad is not None
    assert bool((clip.grad.abs().amax((1, 3, 4)) > 0).all())
    torch.testing.assert_close(features[1:2], net.features(clip[1:2]), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_features_know_the_order_of_frames_and_any_length() -> None:
    net, clip = build().eval(), waves(1, 12)
    assert not torch.allclose(net.features(clip), net.features(clip.flip(2)), atol=1e-5)
