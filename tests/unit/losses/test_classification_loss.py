"""Cross-entropy of mixed labels against torch's own for probabilities as targets."""

import pytest
import torch
from torch.nn import functional

from glcm_mae.losses.classification import MixedLabels, mixed_cross_entropy


def example(count: int = 7, classes: int = 4) -> tuple[torch.Tensor, MixedLabels]:
    torch.manual_seed(0)
    own, other = torch.randint(classes, (2, count)).unbind(0)
    return torch.randn(count, classes), MixedLabels(own, other, torch.rand(count))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_equals_torch_for_probabilities(smoothing: float) -> None:
    logits, labels = example()
    weights = torch.tensor([0.5, 1.0, 2.0, 1.5])
    one_hot = functional.one_hot(torch.stack([labels.own, labels.other]), 4).float()
    target = labels.share[:, None] * one_hot[0] + (1 - labels.share[:, None]) * one_hot[1]
    expected = functional.cross_entropy(
        logits, target, weight=weights, label_smoothing=smoothing, reduction="sum"
    )
    found = mixed_cross_entropy(logits, labels, weights, label_smoothing=smoothing)
    torch.testing.assert_close(found, expected)


def test_without_mixing_it_is_the_cross_entropy_of_the_labels() -> None:
    logits, labels = example()
    alone = labels._replace(share=torch.ones(7))
    weights = torch.tensor([0.5, 1.0, 2.0, 1.5])
    expected = functional.cross_entropy(logits, labels.own, weight=weights, reduction="sum")
    torch.testing.assert_close(mixed_cross_entropy(logits, alone, weights), expected)
    assert alone.weight(weights) == pytest.approx(float(weights[labels.own].sum()))


def test_parts_add_up() -> None:
    logits, labels = example()
    weights = torch.tensor([0.5, 1.0, 2.0, 1.5])
    whole = mixed_cross_entropy(logits, labels, weights)
    parts = [
        mixed_cross_entropy(
            logits[part], MixedLabels(*(field[part] for field in labels)), weights
        )
        for part in (slice(0, 3), slice(3, 7))
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_gradcheck() -> None:
    logits, labels = example()
    logits = logits.double().requires_grad_()
    labels = labels._replace(share=labels.share.double())
    weights = torch.tensor([0.5, 1.0, 2.0, 1.5], dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x: mixed_cross_entropy(x, labels, weights, label_smoothing=0.1), logits
    )
