"""The weighted sum, what is not computed, the shares of the gradient, the phases."""

from collections.abc import Mapping

import numpy as np
import pytest
import torch

from glcm_mae.assembly import build_objective
from glcm_mae.config import LossesConfig
from glcm_mae.data.phantoms import PHANTOM_CLASSES, make_phantom
from glcm_mae.losses import (
    Objective,
    gradient_shares,
    masked_mse,
    masked_ssim,
    objective,
    texture_loss,
)
from glcm_mae.losses.objective import TERMS, phase_at, schedule_phases
from glcm_mae.model import MaskedAutoencoder, build_encoder, random_mask
from glcm_mae.texture import Offset

MASK = torch.tensor([[True, False]])


def pair() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(1, 1, 12, 24, generator=generator), torch.rand(
        1, 1, 12, 24, generator=generator
    )


def test_the_total_is_the_weighted_sum_of_the_terms() -> None:
    prediction, target = pair()
    settings = {"levels": 16, "bandwidth": 0.25, "offsets": (Offset(1, 1),), "symmetric": True}
    judge = Objective(patch_size=12, normalised=True, window=7, sigma=1.0, **settings)
    value = judge(prediction, target, MASK, {"mse": 2.0, "glcm": 0.5, "ssim": 0.25})
    expected = {
        "mse": masked_mse(prediction, target, MASK, patch_size=12, normalised=True),
        "glcm": texture_loss(prediction, target, MASK, patch_size=12, **settings),
        "ssim": 1 - masked_ssim(prediction, target, MASK, patch_size=12, window=7, sigma=1.0),
    }
    assert list(value.terms) == list(TERMS)
    for name, term in expected.items():
        assert value.terms[name].item() == pytest.approx(term.item(), rel=1e-6)
    total = 2.0 * expected["mse"] + 0.5 * expected["glcm"] + 0.25 * expected["ssim"]
    assert value.total.item() == pytest.approx(total.item(), rel=1e-6)


@pytest.mark.parametrize("active", TERMS)
def test_terms_without_a_weight_are_not_computed(
    active: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **settings: object) -> None:
        raise AssertionError("a term of weight 0 was computed")

    functions = {"mse": "masked_mse", "glcm": "texture_loss", "ssim": "masked_ssim"}
    for name, function in functions.items():
        if name != active:
            monkeypatch.setattr(objective, function, never)
    weights = dict.fromkeys(TERMS, 0.0) | {active: 3.0}
    value = Objective(patch_size=12)(*pair(), MASK, weights)
    assert list(value.terms) == [active]
    assert value.total.item() == pytest.approx(3 * value.terms[active].item())


@pytest.mark.parametrize("weights", [{}, {"mse": 0.0, "glcm": 0.0}])
def test_an_objective_without_weights_is_refused(weights: Mapping[str, float]) -> None:
    with pytest.raises(ValueError, match=r"at least one weight of .* must be above 0"):
        Objective(patch_size=12)(*pair(), MASK, weights)


def test_gradient_shares_by_hand() -> None:
    prediction, target = pair()
    prediction.requires_grad_()
    weights = {"mse": 2.0, "glcm": 0.5, "ssim": 0.25}
    value = Objective(patch_size=12)(prediction, target, MASK, weights)
    shares = gradient_shares(value, weights, [prediction])
    norms = {}
    for name, weight in weights.items():
        (gradient,) = torch.autograd.grad(value.terms[name], prediction, retain_graph=True)
        norms[name] = weight * gradient.norm().item()
    assert sum(shares.values()) == pytest.approx(1)
    for name, norm in norms.items():
        assert shares[name] == pytest.approx(norm / sum(norms.values()), rel=1e-5)
    value.total.backward()  # the graph is still alive
    assert prediction.grad.any()


def test_gradient_shares_of_known_gradients() -> None:
    first, second = torch.zeros(2, requires_grad=True), torch.zeros(1, requires_grad=True)
    # Gradients (3, 0 | 4) and (0, 5 | 0): both of norm 5 over all parameters.
    terms = {"mse": 3 * first[0] + 4 * second[0], "glcm": 5 * first[1] + 0 * second[0]}
    value = objective.ObjectiveValue(terms["mse"] + terms["glcm"], terms)
    shares = gradient_shares(value, {"mse": 1.0, "glcm": 3.0}, [first, second])
    assert shares == {"mse": 0.25, "glcm": 0.75}


def test_a_perfect_prediction_has_no_shares() -> None:
    _, target = pair()
    prediction = target.clone().requires_grad_()
    value = Objective(patch_size=12)(prediction, target, MASK, {"mse": 1.0})
    assert gradient_shares(value, {"mse": 1.0}, [prediction]) == {"mse": 0.0}


@pytest.mark.parametrize(
    ("shares", "epochs", "starts"),
    [
        ([1.0], 7, [0]),
        ([0.5, 0.5], 10, [0, 5]),
        ([0.25, 0.25, 0.5], 8, [0, 2, 4]),
        ([0.1, 0.2, 0.7], 10, [0, 1, 3]),
        ([0.01, 0.99], 10, [0, 0]),
    ],
)
def test_phases_begin_at_their_shares(
    shares: list[float], epochs: int, starts: list[int]
) -> None:
    weights = [{"mse": float(number)} for number in range(len(shares))]
    phases = schedule_phases(shares, weights, epochs)
    assert [phase.first_epoch for phase in phases] == starts
    assert [phase.weights for phase in phases] == weights


def test_every_epoch_has_the_phase_that_began_last() -> None:
    phases = schedule_phases([0.25, 0.25, 0.5], [{}, {}, {}], 8)
    assert [phase_at(phases, epoch) for epoch in range(8)] == [0, 0, 1, 1, 2, 2, 2, 2]
    skipped = schedule_phases([0.01, 0.99], [{}, {}], 10)
    assert [phase_at(skipped, epoch) for epoch in (0, 9)] == [1, 1]


def test_weights_are_copied_into_the_phases() -> None:
    weights = {"mse": 1.0}
    (phase,) = schedule_phases([1.0], [weights], 4)
    weights["mse"] = 0.0
    assert phase.weights == {"mse": 1.0}


def speckled_images(count: int) -> torch.Tensor:
    images = [
        make_phantom(PHANTOM_CLASSES[i % 3], size=64, seed=(0, i)).image for i in range(count)
    ]
    return torch.from_numpy(np.stack(images))[:, None]


def tiny_autoencoder(images: torch.Tensor) -> MaskedAutoencoder:
    torch.manual_seed(0)
    encoder = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(64, 64),
        patch_size=16,
        channels=1,
        options={"depth": 1, "embed_dim": 96, "num_heads": 3},
    )
    encoder.set_input_statistics([images.mean().item()], [images.std().item()])
    return MaskedAutoencoder(encoder, decoder_depth=1, decoder_width=64, decoder_heads=2)


def test_every_term_of_the_second_default_phase_has_a_say() -> None:
    losses = LossesConfig()
    judge = build_objective(losses, 16)
    images, steps = speckled_images(48), 120
    model = tiny_autoencoder(images)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    samples: list[dict[str, float]] = []
    for step in range(steps):
        phase = losses.phases[2 * step // steps]
        weights = {name: getattr(phase, name) for name in TERMS}
        generator = torch.Generator().manual_seed(step)
        batch = images[torch.randperm(48, generator=generator)[:8]]
        mask = random_mask(8, 16, 0.75, generator=generator)
        value = judge(model(batch, mask).prediction, batch, mask, weights)
        if phase == losses.phases[1] and step % 4 == 0:
            samples.append(gradient_shares(value, weights, [model.head.weight]))
        optimizer.zero_grad()
        value.total.backward()
        optimizer.step()
    # It has learnt: an image's mean gray level alone would leave this error.
    assert value.terms["mse"].item() < 0.9 * images.var().item()
    for name in TERMS:
        share = float(np.mean([sample[name] for sample in samples]))
        assert 0.1 <= share <= 0.8, f"{name} has {share:.2f} of the gradient"
