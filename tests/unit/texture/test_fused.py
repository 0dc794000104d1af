"""The fused engine against the dense formula, and as an operator of PyTorch."""

import inspect
import math
import multiprocessing
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck

from glcm_mae.texture import Offset, Scale, glcm_distance
from glcm_mae.texture import distance as distance_module
from glcm_mae.texture.kernels import cpu, fused

OFFSETS = (Offset(0, 1), Offset(1, 0))
SETTINGS = {"levels": 8, "bandwidth": 0.5, "offsets": OFFSETS}
PAPER = {"levels": 256, "bandwidth": 1 / 30, "offsets": OFFSETS}


def patches(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def both(prediction: Tensor, target: Tensor, **settings: object) -> list[tuple[Tensor, Tensor]]:
    results = []
    for engine in ("fused", "dense"):
        leaf = prediction.detach().requires_grad_()
        value = glcm_distance(leaf, target, engine=engine, **settings)
        results.append((value.detach(), *torch.autograd.grad(value, leaf)))
    return results


def rounding(settings: dict[str, Any], prediction: Tensor, dtype: torch.dtype) -> float:
    """Return what rounding may do to a gradient, where the exact one is next to nothing."""
    steepest = settings["levels"] / settings["bandwidth"] / prediction.numel()
    return 16 * torch.finfo(dtype).eps * steepest


@pytest.fixture(autouse=True)
def same_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_the_fused_engine_runs_and_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(cpu, "add_distances", lambda *_: calls.append(1))
    glcm_distance(patches(1, 4, 4), patches(1, 4, 4, seed=1), **SETTINGS)
    assert calls == [1]
    glcm_distance(patches(1, 4, 4), patches(1, 4, 4, seed=1), **SETTINGS, engine="dense")
    assert calls == [1]


@pytest.mark.parametrize("settings", [SETTINGS, PAPER])
def test_the_number_of_threads_changes_no_bit(settings: dict[str, object]) -> None:
    # More patches than are taken at a time, and not a multiple of that.
    prediction = patches(70, 6, 5, dtype=torch.float32) * 1.2 - 0.1
    target = patches(70, 6, 5, seed=1, dtype=torch.float32)
    results = []
    for threads in (1, 2, 3, 1):
        torch.set_num_threads(threads)
        results.append(both(prediction, target, **settings)[0])
    for value, gradient in results[1:]:
        assert torch.equal(value, results[0][0])
        assert torch.equal(gradient, results[0][1])


def test_scales_are_summed_and_the_excess_counts_once() -> None:
    prediction, target = patches(3, 9, 7) * 1.4 - 0.2, patches(3, 9, 7, seed=1)
    other = Scale(levels=64, bandwidth=1 / 30, offsets=(Offset(-2, 3),))
    excess = (prediction - prediction.clamp(0, 1)).square().mean()
    alone = [
        glcm_distance(prediction, target, levels=k, bandwidth=b, offsets=o) - excess
        for k, b, o in (Scale(8, 0.5, OFFSETS), other)
    ]
    (value, gradient), (dense, expected) = both(
        prediction, target, **SETTINGS, further_scales=[other]
    )
    assert value.item() == pytest.approx((sum(alone) + excess).item(), rel=1e-12)
    assert value.item() == pytest.approx(dense.item(), rel=1e-12)
    assert (gradient - expected).abs().max() < 1e-10 * expected.abs().max()


def test_a_further_scale_is_checked_like_the_first() -> None:
    with pytest.raises(ValueError, match="levels must be at least 2, got 1"):
        glcm_distance(
            patches(1, 4, 4),
            patches(1, 4, 4),
            **SETTINGS,
            further_scales=[Scale(1, 0.5, OFFSETS)],
        )


@pytest.mark.parametrize("engine", ["fused", "dense"])
def test_gradcheck_over_two_scales(engine: str) -> None:
    prediction = (patches(2, 4, 5) * 1.6 - 0.3).requires_grad_()
    other = Scale(levels=16, bandwidth=1.0, offsets=(Offset(1, -1),))
    for symmetric in (False, True):
        assert gradcheck(
            lambda p, s=symmetric: glcm_distance(
                p,
                patches(2, 4, 5, seed=1),
                **SETTINGS,
                further_scales=[other],
                symmetric=s,
                engine=engine,
            ),
            (prediction,),
        )


def test_patches_that_are_alike_have_no_distance_and_no_slope() -> None:
    prediction = patches(2, 8, 8, dtype=torch.float32)
    for value, gradient in both(prediction, prediction, **SETTINGS):
        assert value.item() == 0
        assert not gradient.any()


def test_a_flat_patch_has_a_finite_gradient() -> None:
    flat = torch.full((1, 8, 8), 0.5)
    (value, gradient), (dense, expected) = both(flat, torch.zeros(1, 8, 8), **SETTINGS)
    assert value.item() == pytest.approx(dense.item(), rel=1e-5)
    assert gradient.isfinite().all()
    floor = rounding(SETTINGS, flat, torch.float32)
    assert (gradient - expected).abs().max() <= 1e-5 * expected.abs().max() + floor


@pytest.mark.parametrize("bandwidth", [1e-4, 1e-3, 20.0])
def test_bandwidths_beyond_the_grid_stay_exact(bandwidth: float) -> None:
    prediction, target = patches(2, 6, 6), patches(2, 6, 6, seed=1)
    settings = {**SETTINGS, "bandwidth": bandwidth}
    (value, gradient), (dense, expected) = both(prediction, target, **settings)
    assert value.item() == pytest.approx(dense.item(), rel=1e-10)
    floor = rounding(settings, prediction, torch.float64)
    assert (gradient - expected).abs().max() <= 1e-10 * expected.abs().max() + floor
    single = glcm_distance(prediction.float(), target.float(), **settings)
    assert single.item() == pytest.approx(dense.item(), rel=1e-5)


def test_a_nan_pixel_spoils_its_own_patch_alone() -> None:
    prediction, target = patches(3, 4, 4), patches(3, 4, 4, seed=1)
    clean = prediction.clone().requires_grad_()
    (whole,) = torch.autograd.grad(glcm_distance(clean, target, **SETTINGS), clean)
    prediction[1, 2, 2] = math.nan
    prediction.requires_grad_()
    value = glcm_distance(prediction, target, **SETTINGS)
    assert value.isnan()
    (gradient,) = torch.autograd.grad(value, prediction)
    assert gradient[1].isnan().all()
    assert torch.equal(gradient[[0, 2]], whole[[0, 2]])


@pytest.mark.parametrize("engine", ["fused", "dense"])
def test_a_nan_target_is_refused(engine: str) -> None:
    target = patches(2, 4, 4)
    target[0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="target must not hold NaN, got NaN; fill"):
        glcm_distance(patches(2, 4, 4), target, **SETTINGS, engine=engine)


def test_infinite_predictions_show() -> None:
    prediction = patches(2, 4, 4)
    prediction[0, 0, 0] = math.inf
    assert glcm_distance(prediction, patches(2, 4, 4, seed=1), **SETTINGS).isinf()


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ValueError, match='engine must be "fused" or "dense", got \'quick\''):
        # Past the types, which the tests check and a user's program does not.
        inspect.unwrap(glcm_distance)(
            patches(1, 4, 4), patches(1, 4, 4), **SETTINGS, engine="quick"
        )


def test_views_need_no_copy_beforehand() -> None:
    storage = patches(6, 7, 2, 5)
    prediction, target = storage[::2, :, 0, :4], patches(3, 7, 4, seed=1)
    (value, gradient), (dense, expected) = both(prediction, target, **SETTINGS)
    assert value.item() == pytest.approx(dense.item(), rel=1e-12)
    assert torch.allclose(gradient, expected, rtol=1e-10, atol=1e-15)


def test_second_derivatives_are_refused_not_made_up() -> None:
    prediction = patches(1, 4, 4).requires_grad_()
    value = glcm_distance(prediction, patches(1, 4, 4, seed=1), **SETTINGS)
    (slope,) = torch.autograd.grad(value**2, prediction, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.sum().backward()
    value = glcm_distance(prediction, patches(1, 4, 4, seed=1), **SETTINGS)
    (slope,) = torch.autograd.grad(value, prediction, create_graph=True)
    assert not slope.requires_grad


def test_without_a_kernel_the_dense_formula_runs_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fused, "find_spec", lambda _: None)
    fused.lacking.cache_clear()
    distance_module._warn_once.cache_clear()
    prediction, target = patches(2, 4, 4), patches(2, 4, 4, seed=1)
    with pytest.warns(RuntimeWarning, match="by the dense formula: numba is not installed"):
        value = glcm_distance(prediction, target, **SETTINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert glcm_distance(prediction, target, **SETTINGS) == value
        assert value == glcm_distance(prediction, target, **SETTINGS, engine="dense")
    fused.lacking.cache_clear()
    distance_module._warn_once.cache_clear()


def test_no_kernel_for_other_devices() -> None:
    assert fused.lacking("mps", torch.float32) == "no kernel runs on mps devices"
    assert fused.lacking("cuda", torch.float64) == "no kernel runs in float64 on CUDA devices"


ARGUMENTS = ([8, 64], [0.5, 1 / 30], [2, 1], [0, 1, 1, 0, -2, 1])


# PyTorch's own check looks at gradients that are not there.
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_opcheck(dtype: torch.dtype) -> None:
    prediction = patches(3, 5, 4, dtype=dtype).requires_grad_()
    target = patches(3, 5, 4, seed=1, dtype=dtype)
    torch.library.opcheck(fused._distance, (prediction, target, *ARGUMENTS, True, True))
    torch.library.opcheck(
        fused._distance, (prediction.detach(), target, *ARGUMENTS, False, False)
    )


COMPILED = """
import torch
from glcm_mae.texture import Offset, glcm_distance

torch.manual_seed(0)
prediction, target = torch.rand(3, 6, 6).requires_grad_(), torch.rand(3, 6, 6)
settings = dict(levels=8, bandwidth=0.5, offsets=(Offset(0, 1), Offset(1, 0)))

def loss(p):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return 2 * glcm_distance(p.sigmoid(), target, **settings)

# Without a code generator, so that no compiler is needed; the graph must be whole.
compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
(expected,) = torch.autograd.grad(loss(prediction), prediction)
value = compiled(prediction)
(gradient,) = torch.autograd.grad(value, prediction)
assert value.item() == loss(prediction).item()
assert torch.allclose(gradient, expected, rtol=1e-6, atol=0)
print("whole")
"""


@pytest.mark.slow
def test_compiles_whole_with_value_and_gradient_under_autocast() -> None:
    # In a process of its own: the compiler cannot see through the tests' type checks.
    done = subprocess.run(
        [sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False
    )
    assert done.stdout == "whole\n", done.stderr


PARALLEL = """
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from glcm_mae.texture import Offset, glcm_distance

def main(rank, store):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    generator = torch.Generator().manual_seed(0)
    inputs, target = torch.rand(2, 4, 64, generator=generator)
    torch.manual_seed(0)
    layer = torch.nn.Linear(64, 64)
    settings = dict(levels=8, bandwidth=0.5, offsets=(Offset(0, 1),))

    def loss(model, rows):
        patches = model(inputs[rows]).sigmoid().view(-1, 8, 8)
        return glcm_distance(patches, target[rows].view(-1, 8, 8), **settings)

    loss(layer, slice(0, 4)).backward()
    whole = layer.weight.grad.clone()
    layer.zero_grad()
    model = DistributedDataParallel(layer)
    loss(model, slice(2 * rank, 2 * rank + 2)).backward()
    difference = (layer.weight.grad - whole).abs().max() / whole.abs().max()
    assert difference < 1e-5, difference
    dist.destroy_process_group()

if __name__ == "__main__":
    import sys
    torch.multiprocessing.start_processes(
        main, args=(sys.argv[1],), nprocs=2, start_method="fork"  # imports once
    )
    print("equal")
"""


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    script = tmp_path / "parallel.py"
    script.write_text(PARALLEL)
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "store")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "equal\n", done.stderr


def test_half_precision_gets_its_gradient_back_in_its_own_type() -> None:
    prediction = patches(2, 6, 6).bfloat16().requires_grad_()
    value = glcm_distance(prediction, patches(2, 6, 6, seed=1).bfloat16(), **SETTINGS)
    (gradient,) = torch.autograd.grad(value, prediction)
    assert value.dtype == torch.float32
    assert gradient.dtype == torch.bfloat16


def _in_a_child(results: "multiprocessing.SimpleQueue[float]") -> None:
    torch.set_num_threads(2)
    value = glcm_distance(patches(40, 6, 6), patches(40, 6, 6, seed=1), **SETTINGS)
    results.put(value.item())


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_starts_its_own_threads() -> None:
    torch.set_num_threads(2)
    expected = glcm_distance(patches(40, 6, 6), patches(40, 6, 6, seed=1), **SETTINGS)
    forked = multiprocessing.get_context("fork")
    results = forked.SimpleQueue()
    child = forked.Process(target=_in_a_child, args=(results,))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert results.get() == expected.item()
