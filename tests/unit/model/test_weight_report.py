"""What a reader is told after weights were loaded."""

from glcm_mae.model.weights import LoadReport
from glcm_mae.model.weights.report import Resized, grouped


def test_a_report_in_full() -> None:
    report = LoadReport(
        source="mae.pth",
        layout="facebook",
        loaded=("encoder.vit.cls_token", "encoder.vit.pos_embed"),
        resized=(
            Resized("encoder.vit.pos_embed", (14, 14), (4, 7)),
            Resized("head.weight", (768, 512), (256, 512)),
        ),
        missing=("blocks.0.norm1.bias", "blocks.11.norm1.bias", "mask_token"),
        unused=("fc_norm.bias", "decoder blocks.3.mlp.fc1.bias"),
        notes=("first", "second"),
    )
    assert report.lines() == [
        "mae.pth (facebook): 2 tensors loaded, 2 fitted, 3 missing, 2 passed over",
        "  fitted: encoder.vit.pos_embed 14 x 14 -> 4 x 7",
        "  fitted: head.weight 768 x 512 -> 256 x 512",
        "  missing, begun anew: blocks.*.norm1.bias (2), mask_token",
        "  passed over: fc_norm.bias, decoder blocks.*.mlp.fc1.bias (1)",
        "  note: first",
        "  note: second",
    ]


def test_nothing_to_tell_is_one_line() -> None:
    report = LoadReport("a", "timm", ("cls_token",), (), (), (), ())
    assert report.lines() == ["a (timm): 1 tensors loaded, 0 fitted, 0 missing, 0 passed over"]


def test_every_name_is_in_some_group() -> None:
    names = [f"blocks.{n}.{part}" for n in range(12) for part in ("norm1.bias", "ls1.gamma")]
    assert grouped([*names, "x", "head.1.bias"]) == (
        "blocks.*.norm1.bias (12), blocks.*.ls1.gamma (12), x, head.*.bias (1)"
    )
