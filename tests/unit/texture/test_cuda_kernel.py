"""The CUDA kernels against the dense formula: on a GPU, else in Triton's interpreter.

They run in a process of their own, since Triton decides when it is imported whether it
compiles or interprets.
"""

import io
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from importlib.util import find_spec

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from glcm_mae.texture import Offset
from glcm_mae.texture.dense import dense_distance
from glcm_mae.texture.glcm import Scale

pytestmark = pytest.mark.skipif(
    find_spec("triton") is None, reason="Triton is not installed (it is there on Linux)"
)

Kernel = Callable[..., tuple[Tensor, Tensor]]
RIGHT, BELOW, BACK = Offset(0, 1), Offset(1, 0), Offset(-2, -3)


def begin(interpret: bool) -> None:
    os.environ["TRITON_INTERPRET"] = str(int(interpret))
    torch.set_num_threads(1)
    # Exponentials of what lies far outside overflow to infinity, as they may on a GPU.
    __import__("numpy").seterr(over="ignore", under="ignore")


def run(request: bytes) -> bytes:
    from glcm_mae.texture.kernels.cuda import glcm_distance_cuda

    device = "cuda" if torch.cuda.is_available() else "cpu"
    prediction, target, scales, symmetric, with_gradient = torch.load(
        io.BytesIO(request), weights_only=False
    )
    results = glcm_distance_cuda(
        prediction.to(device), target.to(device), scales, symmetric, with_gradient
    )
    answer = io.BytesIO()
    torch.save([result.cpu() for result in results], answer)
    return answer.getvalue()


def ask(
    pool: ProcessPoolExecutor,
    prediction: Tensor,
    target: Tensor,
    scales: list[Scale],
    *,
    symmetric: bool = False,
    with_gradient: bool = True,
) -> tuple[Tensor, Tensor]:
    request = io.BytesIO()
    torch.save((prediction, target, scales, symmetric, with_gradient), request)
    answer = pool.submit(run, request.getvalue()).result()
    loss, gradient = torch.load(io.BytesIO(answer))
    return loss, gradient


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=begin,
        initargs=(not torch.cuda.is_available(),),
    ) as pool:
        yield partial(ask, pool)


def patches(*shape: int, seed: int = 0, low: float = 0.0, high: float = 1.0) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def dense(
    prediction: Tensor, target: Tensor, scales: list[Scale], *, symmetric: bool = False
) -> tuple[Tensor, Tensor]:
    leaf = prediction.double().requires_grad_()
    loss = dense_distance(leaf, target.double(), scales, symmetric=symmetric)
    (gradient,) = torch.autograd.grad(loss, leaf)
    return loss.detach(), gradient


def assert_equals_dense(
    kernel: Kernel,
    prediction: Tensor,
    target: Tensor,
    scales: list[Scale],
    *,
    symmetric: bool = False,
) -> None:
    loss, gradient = kernel(prediction, target, scales, symmetric=symmetric)
    expected, slopes = dense(prediction, target, scales, symmetric=symmetric)
    assert loss.dtype == gradient.dtype == torch.float32
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    # (Two levels four times softer than they are wide see nothing: slopes of 1e-16.)
    assert (gradient - slopes).abs().max() <= 1e-5 * slopes.abs().max() + 1e-12


# Products of one tile and of several, with exponentials of either kind; tables.
@pytest.mark.parametrize(
    ("levels", "bandwidth", "offsets", "shape", "symmetric"),
    [
        (2, 0.01, [RIGHT, BACK], (2, 4, 7), False),
        (3, 1.0, [BELOW], (2, 4, 5), True),
        (16, 0.5, [BACK], (1, 6, 9), False),
        (32, 0.5, [RIGHT, BELOW], (2, 8, 9), False),
        (32, 0.5, [Offset(2, 1)], (1, 4, 6), True),
        (32, 1 / 30, [Offset(-1, 1)], (1, 6, 5), True),
        (33, 1.0, [Offset(3, -4)], (1, 6, 7), False),
        (17, 0.1, [RIGHT], (1, 4, 8), False),
        (59, 0.46, [RIGHT], (1, 4, 8), False),
        (64, 0.5, [RIGHT], (1, 4, 8), True),
        (64, 1 / 30, [RIGHT, BACK], (2, 5, 7), False),
        (100, 0.01, [Offset(4, 0)], (2, 5, 7), True),
        (256, 1 / 30, [RIGHT, BELOW], (3, 8, 9), False),
        (256, 1 / 30, [RIGHT], (2, 17, 16), True),
        (256, 0.25, [Offset(-1, 1)], (1, 5, 7), False),
    ],
)
def test_equals_the_dense_formula(
    kernel: Kernel,
    levels: int,
    bandwidth: float,
    offsets: list[Offset],
    shape: tuple[int, int, int],
    symmetric: bool,
) -> None:
    prediction = patches(*shape, low=-0.2, high=1.2)
    scales = [Scale(levels, bandwidth, tuple(offsets))]
    assert_equals_dense(
        kernel, prediction, patches(*shape, seed=1), scales, symmetric=symmetric
    )


@pytest.mark.parametrize(
    ("levels", "bandwidth"), [(2, 4.0), (8, 4.0), (100, 1.0), (256, 1.0), (256, 4.0)]
)
def test_wide_bins_mirror_often_and_fill_several_tiles(
    kernel: Kernel, levels: int, bandwidth: float
) -> None:
    prediction, target = patches(1, 3, 5, high=0.3), patches(1, 3, 5, seed=1, high=0.3)
    scales = [Scale(levels, bandwidth, (RIGHT,))]
    assert_equals_dense(kernel, prediction, target, scales, symmetric=True)


@settings(max_examples=8)
@given(
    levels=st.sampled_from([2, 3, 16, 32, 33, 64, 100, 256]),
    bandwidth=st.sampled_from([0.01, 1 / 30, 0.5]),
    height=st.integers(2, 6),
    width=st.integers(2, 6),
    data=st.data(),
    symmetric=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float16]),
)
def test_equals_the_dense_formula_for_any_settings(
    kernel: Kernel,
    levels: int,
    bandwidth: float,
    height: int,
    width: int,
    data: st.DataObject,
    symmetric: bool,
    dtype: torch.dtype,
) -> None:
    rows = data.draw(st.integers(1 - height, height - 1))
    cols = data.draw(st.integers(1 - width, width - 1).filter(lambda cols: cols or rows))
    seed = data.draw(st.integers(0, 99))
    prediction = patches(1, height, width, seed=seed, low=-0.1, high=0.9).to(dtype)
    target = patches(1, height, width, seed=seed + 1).to(dtype)
    scales = [Scale(levels, bandwidth, (Offset(rows, cols),))]
    assert_equals_dense(kernel, prediction, target, scales, symmetric=symmetric)


def test_scales_add_up_and_the_excess_counts_once(kernel: Kernel) -> None:
    prediction, target = patches(2, 6, 7, low=-0.5, high=1.5), patches(2, 6, 7, seed=1)
    scales = [Scale(16, 0.5, (RIGHT,)), Scale(64, 0.01, (BELOW, BACK)), Scale(2, 0.5, (BACK,))]
    assert_equals_dense(kernel, prediction, target, scales)


@pytest.mark.parametrize(("levels", "bandwidth"), [(32, 0.5), (256, 0.2)])
def test_a_prediction_near_its_target_is_judged_as_exactly(
    kernel: Kernel, levels: int, bandwidth: float
) -> None:
    target = patches(1, 6, 7, low=0.1, high=0.9)
    prediction = target + patches(1, 6, 7, seed=1, low=-0.01, high=0.01)
    scales = [Scale(levels, bandwidth, (RIGHT,))]
    assert_equals_dense(kernel, prediction, target, scales)
    loss, gradient = kernel(target, target, scales)
    assert loss == 0
    assert not gradient.any()


@pytest.mark.parametrize(("levels", "bandwidth"), [(8, 0.5), (8, 0.05), (128, 0.05)])
def test_ends_and_edges_of_bins_have_the_slopes_of_the_formula(
    kernel: Kernel, levels: int, bandwidth: float
) -> None:
    prediction = torch.arange(-1, 11).reshape(1, 3, 4) / 8
    assert {0.0, 1.0, 0.125} <= set(prediction.flatten().tolist())
    target = patches(1, 3, 4)
    assert_equals_dense(kernel, prediction, target, [Scale(levels, bandwidth, (RIGHT, BELOW))])


@pytest.mark.parametrize("levels", [32, 256])
@pytest.mark.parametrize("spoilt", ["prediction", "target"])
def test_nan_makes_the_distance_nan_and_spoils_no_other_patch(
    kernel: Kernel, levels: int, spoilt: str
) -> None:
    both = {"prediction": patches(3, 4, 5), "target": patches(3, 4, 5, seed=1)}
    scales = [Scale(levels, 1 / 30, (RIGHT,))]
    _, expected = kernel(*both.values(), scales)
    both[spoilt][1, 2, 3] = torch.nan
    loss, gradient = kernel(*both.values(), scales)
    assert loss.isnan()
    assert gradient[1].isnan().any()
    assert torch.equal(gradient[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize(("levels", "bandwidth"), [(32, 0.5), (256, 1 / 30)])
def test_every_run_gives_the_same_bits(kernel: Kernel, levels: int, bandwidth: float) -> None:
    shape = (300, 16, 16) if torch.cuda.is_available() else (3, 4, 5)
    prediction, target = patches(*shape, low=-0.1), patches(*shape, seed=1)
    scales = [Scale(levels, bandwidth, (RIGHT, BELOW))]
    loss, gradient = kernel(prediction, target, scales)
    again, same = kernel(prediction, target, scales)
    assert torch.equal(loss, again)
    assert torch.equal(gradient, same)
    alone, nothing = kernel(prediction, target, scales, with_gradient=False)
    assert torch.equal(loss, alone)
    assert nothing.shape == (0,)


def signature(kernel: object, constants: dict[str, object]) -> dict[str, str]:
    tensors = {"prediction", "target", "gradient", "losses"}
    integers = {"reach", "rows", "cols", "patches", "pixels"}
    kinds = {}
    for name in kernel.arg_names:  # type: ignore[attr-defined]
        kinds[name] = (
            "constexpr"
            if name in constants
            else "*fp32"
            if name in tensors
            else "*i64"
            if name == "tables"
            else "i32"
            if name in integers
            else "fp32"
        )
    return kinds


def compile_for(capability: int) -> list[int]:
    """Compile what the default and the paper's settings take; return its shared memory."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from glcm_mae.texture.kernels import triton_products, triton_shares, triton_table

    common = {"height": 16, "width": 16, "symmetric": False, "with_gradient": True}
    products = {**common, "levels": 32, "tile": 32, "wide": True, "block": 32}
    table = {**common, "levels": 256, "reach": 1, "side": 4, "block": 256}
    shared = []
    for kernel, constants, warps in (
        (triton_shares.excess_kernel, {"with_gradient": True, "block": 1024}, 4),
        (triton_products.product_kernel, products, 2),
        (triton_table.table_kernel, table, 8),
    ):
        places = {(kernel.arg_names.index(name),): value for name, value in constants.items()}
        source = ASTSource(kernel, signature(kernel, constants), places)
        compiled = triton.compile(
            source,
            target=GPUTarget("cuda", capability, 32),
            options={"num_warps": warps, "num_stages": 1},
        )
        shared.append(compiled.metadata.shared)
    return shared


@pytest.mark.slow
@pytest.mark.parametrize("capability", [75, 80, 90])
def test_compiles_without_a_gpu_into_the_shared_memory_of_any(capability: int) -> None:
    with ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=begin,
        initargs=(False,),
    ) as pool:
        assert max(pool.submit(compile_for, capability).result()) <= 48 * 1024
