"""Gradient-based maps: exact where theory is exact, and against captum's own Grad-CAM."""

import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from glcm_mae.model import Classifier, build_encoder
from glcm_mae.model.attribution import (
    Margin,
    grad_cam,
    integrated_gradients,
    margins,
    saliency,
)
from glcm_mae.model.baseline import build_baseline

ZERO = torch.zeros(1, 1, 1, 1)


def classifier(pooling: str = "mean") -> Classifier:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(16, 24),
        patch_size=8,
        channels=1,
        options={"depth": 2, "embed_dim": 24, "num_heads": 2},
    )
    model = Classifier(encoder, classes=3, pooling=pooling)  # type: ignore[arg-type]
    nn.init.normal_(model.head.weight)
    return model.eval()


def linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 3))


def test_margins_are_those_of_one_class_against_the_mean_of_the_others() -> None:
    logits = torch.tensor([[2.0, -1.0, 5.0], [0.0, 0.0, 3.0]])
    expected = [[own - (sum(row) - own) / 2 for own in row] for row in logits.tolist()]
    torch.testing.assert_close(margins(logits), torch.tensor(expected))
    torch.testing.assert_close(margins(logits + 7), margins(logits))  # as softmax has it


def test_of_two_classes_the_margin_is_the_log_odds() -> None:
    logits = torch.tensor([[1.5, -0.5]])
    odds = logits.softmax(dim=1)[0, 0].logit()
    torch.testing.assert_close(margins(logits)[0, 0], odds)


def test_integrated_gradients_of_a_line_are_its_slope_times_the_pixel() -> None:
    model, images = linear(), torch.rand(2, 1, 3, 4)
    start = torch.full((1, 1, 1, 1), 0.25)
    found, missed = integrated_gradients(model, images, torch.tensor([2, 0]), start, steps=2)
    weight = model[1].weight.detach()  # type: ignore[index]
    slopes = margins(weight.T).T  # the same contrast of the slopes
    expected = slopes[[2, 0]].reshape(2, 1, 3, 4) * (images - 0.25)
    torch.testing.assert_close(found, expected)
    assert float(missed.max()) < 1e-5


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_integrated_gradients_are_complete(pooling: str) -> None:
    model, images = classifier(pooling), torch.rand(3, 1, 16, 24)
    classes = torch.tensor([0, 2, 1])
    found, missed = integrated_gradients(model, images, classes, ZERO, steps=64)
    with torch.no_grad():
        rise = Margin(model)(images) - Margin(model)(torch.zeros_like(images))
    wanted = rise[torch.arange(3), classes]
    torch.testing.assert_close(found.flatten(1).sum(dim=1), wanted, rtol=1e-3, atol=1e-4)
    expected = (found.flatten(1).sum(dim=1) - wanted).abs() / wanted.abs()
    torch.testing.assert_close(missed, expected)
    assert not found.requires_grad


def test_more_steps_miss_less() -> None:
    model, images = classifier(), torch.rand(2, 1, 16, 24)
    misses = [
        float(
            integrated_gradients(model, images, torch.tensor([0, 1]), ZERO, steps=steps)[
                1
            ].max()
        )
        for steps in (2, 50)
    ]
    assert misses[1] < misses[0]


def test_pixels_equal_to_the_reference_get_nothing() -> None:
    images = torch.rand(1, 1, 16, 24)
    images[..., :8] = 0.5
    start = torch.full((1, 1, 1, 1), 0.5)
    found, _ = integrated_gradients(classifier(), images, torch.tensor([0]), start)
    assert bool((found[..., :8] == 0).all())
    assert bool((found[..., 8:] != 0).any())


def test_one_step_is_no_path() -> None:
    with pytest.raises(ValueError, match="steps must be at least 2, got 1"):
        integrated_gradients(linear(), torch.rand(1, 1, 3, 4), torch.tensor([0]), ZERO, steps=1)


def test_saliency_is_the_size_of_the_slope() -> None:
    model = linear()
    found = saliency(model, torch.rand(2, 1, 3, 4), torch.tensor([0, 1]))
    slopes = margins(model[1].weight.detach().T).T  # type: ignore[index]
    torch.testing.assert_close(found, slopes[:2].abs().reshape(2, 1, 3, 4))


def test_grad_cam_of_a_convolutional_net_is_captums() -> None:
    torch.manual_seed(0)
    model = build_baseline("test_resnet", image_size=(64, 96), channels=1, classes=3).eval()
    images, classes = torch.rand(2, 1, 64, 96), torch.tensor([2, 0])
    layer = model.net.layer4
    expected = LayerGradCam(Margin(model), layer).attribute(
        images, target=classes, relu_attributions=True
    )
    found = grad_cam(model, images, classes)
    torch.testing.assert_close(found, expected[:, 0].detach())
    assert float(found.max()) > 0


@pytest.mark.parametrize("pooling", ["mean", "cls", "attention"])
def test_grad_cam_of_tokens_is_worked_out_by_hand(pooling: str) -> None:
    model, images, classes = classifier(pooling), torch.rand(2, 1, 16, 24), torch.tensor([1, 2])
    # The same net, cut in two: what enters the last block's attention is a leaf.
    block = model.encoder.vit.blocks[1]
    kept: list[torch.Tensor] = []

    def as_leaf(_: nn.Module, __: object, tokens: torch.Tensor) -> torch.Tensor:
        kept.append(tokens.detach().requires_grad_())
        return kept[-1]

    hook = block.norm1.register_forward_hook(as_leaf)
    margins(model(images))[torch.arange(2), classes].sum().backward()
    hook.remove()
    tokens, slopes = kept[0].detach()[:, 1:], kept[0].grad[:, 1:]
    expected = (tokens * slopes.mean(dim=1, keepdim=True)).sum(dim=2).clamp(min=0)
    found = grad_cam(model, images, classes)
    assert found.shape == (2, 2, 3)
    torch.testing.assert_close(found.flatten(1), expected)
    assert float(found.max()) > 0


def test_grad_cam_works_with_frozen_weights_and_leaves_no_trace() -> None:
    model = classifier().requires_grad_(False)
    found = grad_cam(model, torch.rand(1, 1, 16, 24), torch.tensor([0]))
    assert not found.requires_grad
    assert not any(module._forward_hooks for module in model.modules())


def test_a_baseline_of_tokens_has_no_grad_cam() -> None:
    model = build_baseline("test_vit", image_size=(160, 160), channels=1, classes=2).eval()
    with pytest.raises(ValueError, match="are no map but"):
        grad_cam(model, torch.rand(1, 1, 160, 160), torch.tensor([0]))
