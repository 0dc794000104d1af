"""Operations against counts by hand, the peak, and the memory of fresh processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from glcm_mae.model import MaskedAutoencoder, build_encoder, random_mask
from glcm_mae.model.encoder import use_fused_attention
from glcm_mae.performance import flops_per_image, matrix_peak, peak_memory

CPU = torch.device("cpu")


@pytest.mark.parametrize(("backward", "times"), [(False, 1), (True, 3)])
def test_a_linear_layer_multiplies_and_adds(backward: bool, times: int) -> None:
    layer, image = nn.Linear(30, 7), torch.zeros(1, 5, 30)
    expected = times * 2 * 5 * 30 * 7
    assert flops_per_image(layer, image, backward=backward) == expected


def test_counting_leaves_no_gradient_and_no_other_mode() -> None:
    layer = nn.Linear(3, 3).train()
    flops_per_image(layer, torch.zeros(1, 3, requires_grad=True))
    assert layer.training
    assert layer.weight.grad is None
    assert torch.is_grad_enabled()


def operations_by_hand() -> int:
    """Operations forward of the autoencoder of the paper on a gray image of 224 x 224."""
    seen, hidden, patches = 49, 147, 196

    def block(tokens: int, width: int, asked: int) -> int:
        keys = 2 * tokens * width * 2 * width
        rest = 2 * asked * width * (1 + 1 + 4 + 4) * width  # query, output, two of the MLP
        return keys + rest + 2 * 2 * asked * tokens * width  # ... and attention

    encoder = 2 * seen * 256 * 768 + 12 * block(1 + seen, 768, 1 + seen)
    decoder = 7 * block(1 + patches, 512, 1 + patches) + block(1 + patches, 512, hidden)
    return encoder + 2 * (1 + seen) * 768 * 512 + decoder + 2 * hidden * 512 * 256


@pytest.mark.parametrize("fused", [True, False])
def test_the_autoencoder_of_the_paper(fused: bool) -> None:
    with torch.device("meta"):  # shapes alone: the same count without the work
        encoder = build_encoder(
            "vit_base_patch16_224", image_size=(224, 224), patch_size=16, channels=1
        )
        model = MaskedAutoencoder(encoder)
        images = torch.zeros(1, 1, 224, 224)
    use_fused_attention(model, fused)
    generator = torch.Generator().manual_seed(0)
    mask = random_mask(1, 196, 0.75, generator=generator).to("meta")
    visible = torch.zeros(1, 49, dtype=torch.int64, device="meta")
    counted = flops_per_image(model, images, mask, visible, backward=False)
    assert counted == pytest.approx(operations_by_hand(), rel=1e-3)


@pytest.mark.parametrize("heads_asked", [(2, 5), (3, 7)])
def test_attention_on_the_cpu_counts(heads_asked: tuple[int, int]) -> None:
    heads, asked = heads_asked

    class Attend(nn.Module):
        def forward(self, query: torch.Tensor, key: torch.Tensor) -> torch.Tensor:
            return nn.functional.scaled_dot_product_attention(query, key, key)

    query, key = torch.rand(1, heads, asked, 8), torch.rand(1, heads, 11, 8)
    expected = 2 * heads * (asked * 8 * 11 + asked * 11 * 8)
    assert flops_per_image(Attend(), query, key, backward=False) == expected


def test_the_peak_is_measured_once_for_each_type() -> None:
    single = matrix_peak(CPU, torch.float32)
    assert 1e8 < single < 1e15
    assert matrix_peak(CPU, torch.float32) == single  # a second measurement would differ
    assert matrix_peak(CPU, torch.float64) != single


def in_a_fresh_process(lines: str) -> list[float]:
    start = (
        "import json, torch\n"
        "from glcm_mae.performance import peak_memory\n"
        "cpu = torch.device('cpu')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", start + lines], capture_output=True, text=True, check=True
    )
    found: list[float] = json.loads(done.stdout)
    return found


def test_the_peak_stays_after_memory_is_freed() -> None:
    before, during, after = in_a_fresh_process(
        "torch.ones(1)\n"
        "before = peak_memory(cpu)\n"
        "held = torch.ones(64 << 20, dtype=torch.uint8)\n"
        "during = peak_memory(cpu)\n"
        "del held\n"
        "print(json.dumps([before, during, peak_memory(cpu)]))\n"
    )
    assert before > 20 << 20  # bytes: an interpreter with torch is not smaller
    assert 60 << 20 <= during - before <= 80 << 20
    assert after > during - (1 << 20)  # the kernel counts roughly


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not forget it")
def test_a_peak_that_is_forgotten_is_no_more() -> None:
    during, after = in_a_fresh_process(
        "from glcm_mae.performance import forget_peak_memory\n"
        "held = torch.ones(64 << 20, dtype=torch.uint8)\n"
        "during = peak_memory(cpu)\n"
        "del held\n"
        "forget_peak_memory()\n"
        "print(json.dumps([during, peak_memory(cpu)]))\n"
    )
    assert during - after > 50 << 20


def test_without_the_kernels_word_the_largest_size_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = peak_memory(CPU)
    monkeypatch.setattr(Path, "exists", lambda _: False)
    asked = peak_memory(CPU)
    assert asked > known - (16 << 20)  # bytes; it may begin with the size of a parent
    monkeypatch.setattr(sys, "platform", "darwin")
    assert peak_memory(CPU) == asked // 1024  # there it comes in bytes
