"""Any timm model as a classifier of images in [0, 1], for comparison under the same budget."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import timm
import torch
from jaxtyping import Float
from timm.models import group_parameters
from torch import Tensor, nn

from glcm_mae.model.batch_norm import has_batch_norm
from glcm_mae.model.weights.sources import read_file

__all__ = ["Baseline", "build_baseline", "load_baseline"]

UNBUILT = (TypeError, AssertionError, ValueError, RuntimeError)
"""What timm and torch raise on a size or an argument that a model cannot take."""


class Baseline(nn.Module):
    """A timm model that normalises inside, as :class:`~glcm_mae.model.Encoder` does.

    Images come in [0, 1]; ``input_mean`` and ``input_std`` travel with the weights. A model
    of three channels shown gray images sees the same image in all three, each normalised by
    its own statistics: just what its weights were trained to see.

    Args:
        net: The model, with its head.
        inputs: Channels that it takes.
        frozen: Train only the head; the rest stays in evaluation mode.
    """

    input_mean: Tensor
    input_std: Tensor

    def __init__(self, net: nn.Module, *, inputs: int, frozen: bool = False) -> None:
        super().__init__()
        self.net = net
        self.inputs, self.frozen = inputs, frozen
        self.register_buffer("input_mean", torch.full((inputs,), 0.5))
        self.register_buffer("input_std", torch.full((inputs,), 0.25))
        if frozen:
            net.requires_grad_(False)
            self.classifier.requires_grad_(True)

    @property
    def classifier(self) -> nn.Module:
        """The last layer: what gives the logits."""
        return cast("nn.Module", cast("Any", self.net).get_classifier())

    @property
    def averages_batches(self) -> bool:
        """Whether what it says of an image in training depends on the others: batch norm."""
        return has_batch_norm(self.net) and not self.frozen

    def set_input_statistics(self, mean: Sequence[float], std: Sequence[float]) -> None:
        """Set the mean and standard deviation of each channel of the images."""
        with torch.no_grad():
            self.input_mean.copy_(torch.tensor(mean))
            self.input_std.copy_(torch.tensor(std).clamp(min=1e-3))

    def train(self, mode: bool = True) -> "Baseline":
        """Enter training mode, or leave it; a frozen model stays out of it."""
        super().train(mode)
        if self.frozen:
            self.net.eval()
        return self

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return one logit a class for images in [0, 1]."""
        return cast("Tensor", self.net(self._normalised(images)))

    def features(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch embedding"]:
        """Return what the head would be given, pooled the model's own way."""
        net, tokens = cast("Any", self.net), self.feature_map(images)
        return cast("Tensor", net.forward_head(tokens, pre_logits=True))

    def feature_map(self, images: Float[Tensor, "batch channel height width"]) -> Tensor:
        """Return the last features before pooling, in the layout of the model."""
        return cast("Tensor", cast("Any", self.net).forward_features(self._normalised(images)))

    def logits_of(self, feature_map: Tensor) -> Float[Tensor, "batch classes"]:
        """Pool and classify what :meth:`feature_map` returned."""
        return cast("Tensor", cast("Any", self.net).forward_head(feature_map))

    def _normalised(self, images: Tensor) -> Tensor:
        # One channel broadcasts to as many as there are statistics.
        return (images - self.input_mean[:, None, None]) / self.input_std[:, None, None]

    def layers(self) -> dict[str, int]:
        """Number the layer of every parameter from the image up, as timm groups them.

        A layer is a block of a transformer, or a stage of a convolutional network. Where timm
        knows no groups, all parameters are one.
        """
        matcher = getattr(self.net, "group_matcher", None)
        if matcher is None:
            return {name: 0 for name, _ in self.named_parameters()}
        numbers = group_parameters(self.net, matcher(coarse=True), reverse=True)
        return {f"net.{name}": int(number) for name, number in numbers.items()}

    def undecayed(self) -> frozenset[str]:
        """Name the parameters that timm keeps out of weight decay, beside norms and biases."""
        known = getattr(self.net, "no_weight_decay", None)
        return frozenset(f"net.{name}" for name in (known() if known else ()))


def build_baseline(
    name: str,
    *,
    image_size: tuple[int, int],
    channels: int,
    classes: int,
    drop_path: float = 0.0,
    inputs: int | None = None,
    frozen: bool = False,
) -> Baseline:
    """Build a timm model by name, with random weights.

    Args:
        name: Name of a timm model, such as ``resnet50``.
        image_size: Height and width of the images in pixels.
        channels: Channels of the images.
        classes: Number of classes.
        drop_path: Largest rate of stochastic depth, where the model has it.
        inputs: Channels that the model takes; as many as the images by default.
        frozen: Train only the head.

    Raises:
        ValueError: If timm has no such model, or it cannot take images of that size.

    Example:
        >>> model = build_baseline("test_resnet", image_size=(64, 96), channels=1, classes=3)
        >>> model(torch.rand(2, 1, 64, 96)).shape
        torch.Size([2, 3])
    """
    _refuse_unknown(name)
    inputs = inputs or channels
    net = _create(name, image_size, drop_path, in_chans=inputs, num_classes=classes)
    model = Baseline(net, inputs=inputs, frozen=frozen)
    _refuse_size(name, model, channels, image_size, classes)
    return model


def load_baseline(
    name: str,
    weights: str | Path,
    *,
    image_size: tuple[int, int],
    channels: int,
    classes: int,
    drop_path: float = 0.0,
    frozen: bool = False,
) -> Baseline:
    """Build a timm model and start it from given weights; its head begins anew.

    Images are normalised as timm says of that model. Positions are resized as timm does it.

    Args:
        name: Name of a timm model.
        weights: ``timm:NAME`` of the same architecture, from timm's cache or the network; or
            a file (.safetensors, .pth, ...) of a timm model's own names.
        image_size: As for :func:`build_baseline`, as all others are.
        channels: One channel may meet weights for three, as :class:`Baseline` tells.
        classes: Number of classes.
        drop_path: Largest rate of stochastic depth.
        frozen: Train only the head.

    Raises:
        ValueError: If the weights cannot be had, or are not those of the model.
    """
    _refuse_unknown(name)
    wanted, tensors = _sought(name, weights)
    config = timm.get_pretrained_cfg(wanted)
    if config is None:
        raise ValueError(f"timm does not tell how images of {wanted} are normalised")
    inputs = config.input_size[0]
    if tensors is not None:
        inputs = _refuse_other_names(name, weights, tensors, config)
    if channels not in (1, inputs):
        raise ValueError(
            f"{weights}: weights for {inputs} channels fit {inputs} or 1 channel; set "
            "model.channels to one"
        )
    source = {} if tensors is None else {"pretrained_cfg_overlay": {"state_dict": tensors}}
    try:
        net = _create(
            wanted,
            image_size,
            drop_path,
            in_chans=inputs,
            num_classes=classes,
            pretrained=True,
            **source,
        )
    # Caches and networks fail in as many ways as there are libraries between.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{weights}: cannot be had for {name} ({reason}); connect once, or give a file of "
            "its weights"
        ) from error
    model = Baseline(net, inputs=inputs, frozen=frozen)
    _refuse_size(name, model, channels, image_size, classes)
    model.set_input_statistics(config.mean[:inputs], config.std[:inputs])
    return model


def _refuse_unknown(name: str) -> None:
    # Names with a colon or slash would have timm read any repository or folder.
    if ":" in name or "/" in name or not timm.is_model(name):
        raise ValueError(
            f"baseline {name!r} is not a timm model; choose for instance resnet50 or "
            "deit_base_patch16_224"
        )


def _create(
    name: str, image_size: tuple[int, int], drop_path: float, **arguments: Any
) -> nn.Module:
    """Have timm build a model; stochastic depth and size are told to those that have them."""
    config = timm.get_pretrained_cfg(name)
    if config is not None and config.fixed_input_size:
        arguments["img_size"] = image_size
    offers: list[dict[str, Any]] = [{"drop_path_rate": drop_path}, {}]
    for number, offer in enumerate(offers):
        try:
            return timm.create_model(name, **arguments, **offer)
        except UNBUILT as error:
            if isinstance(error, TypeError) and number + 1 < len(offers):
                continue  # it has no stochastic depth
            reason = " ".join(str(error).split())[:200]
            height, width = image_size
            raise ValueError(
                f"baseline {name!r} cannot be built for images of {height} x {width} "
                f"({reason}); choose another model.image_size or baseline"
            ) from error
    raise AssertionError("the last offer returns or raises")


def _refuse_size(
    name: str, model: Baseline, channels: int, image_size: tuple[int, int], classes: int
) -> None:
    """Try one image, so that a size that does not fit is told before any is read."""
    height, width = image_size
    own = getattr(timm.get_pretrained_cfg(name), "input_size", (channels, *image_size))
    image = torch.zeros(1, channels, height, width, device=next(model.parameters()).device)
    model.eval()
    try:
        with torch.no_grad():
            fits = model(image).shape == (1, classes)
    except UNBUILT as error:
        reason = " ".join(str(error).split())[:120]
        raise ValueError(
            f"baseline {name!r} cannot take images of {height} x {width} ({reason}); choose "
            f"another model.image_size, such as its own {own[1]} x {own[2]}"
        ) from error
    if not fits:
        raise ValueError(f"baseline {name!r} gives no logit a class; choose a classifier")


def _sought(name: str, weights: str | Path) -> tuple[str, dict[str, Tensor] | None]:
    """Return the name that timm builds, and the tensors of a file; none with ``timm:``."""
    text = str(weights)
    if not text.startswith("timm:"):
        return name, read_file(Path(text)).tensors
    wanted = text.removeprefix("timm:")
    _refuse_unknown(wanted)
    if wanted.split(".")[0] != name.split(".")[0]:
        raise ValueError(f"{text}: weights of another model than baseline {name}; give its own")
    return wanted, None


def _refuse_other_names(
    name: str, weights: str | Path, tensors: Mapping[str, Tensor], config: Any
) -> int:
    """Hold the names of a file against the model's; return the channels that it takes."""
    with torch.device("meta"):
        own = timm.create_model(name).state_dict()
    heads, first = _several(config.classifier), _several(config.first_conv)[0]
    body = {entry for entry in own if not entry.startswith(heads)}
    given = {entry for entry in tensors if not entry.startswith(heads)}
    counted = {entry for entry in body if entry.endswith("num_batches_tracked")}
    missing, further = sorted(body - given - counted), sorted(given - body)
    if missing or further:
        found = [f"lacks {len(missing)} tensors such as {missing[0]}"] if missing else []
        found += [f"has {len(further)} others such as {further[0]}"] if further else []
        raise ValueError(
            f"{weights}: not the weights of timm's {name}: {' and '.join(found)}; give a file "
            "with timm's names"
        )
    infinite = [entry for entry in given if not tensors[entry].isfinite().all()]
    if infinite:
        raise ValueError(f"{weights}: {infinite[0]} is not finite; give another file")
    return int(tensors[f"{first}.weight"].shape[1])


def _several(names: Any) -> tuple[str, ...]:
    return (names,) if isinstance(names, str) else tuple(names)
