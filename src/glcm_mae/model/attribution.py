"""Gradient-based maps: which pixels, or patches, speak for what a classifier says."""

from typing import Any, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from glcm_mae.model.baseline import Baseline
from glcm_mae.model.classifier import Classifier


class Margin(nn.Module):
    """What a class has over the others: its logit minus the mean of the others' logits.

    A softmax does not change when all logits rise alike, so what raises all of them is no
    reason for any class. Of two classes it is the log-odds.

    Args:
        model: Gives one logit a class; at least two.

    Example:
        >>> Margin(nn.Identity())(torch.tensor([[3.0, 1.0, 2.0]]))
        tensor([[ 1.5000, -1.5000,  0.0000]])
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch classes"]:
        """Return the margin of every class."""
        return margins(self.model(images))


def margins(logits: Float[Tensor, "batch classes"]) -> Float[Tensor, "batch classes"]:
    """Return each logit minus the mean of the others, see :class:`Margin`."""
    classes = logits.shape[1]
    return (classes * logits - logits.sum(dim=1, keepdim=True)) / (classes - 1)


def integrated_gradients(
    model: nn.Module,
    images: Float[Tensor, "batch channel height width"],
    classes: Int[Tensor, "batch"],
    reference: Float[Tensor, "#batch channel #height #width"],
    *,
    steps: int = 50,
) -> tuple[Float[Tensor, "batch channel height width"], Float[Tensor, "batch"]]:
    """Share the margin of a class out over the pixels by integrated gradients [1]_.

    Completeness: the sum over all pixels is the margin of the image minus that of the
    reference. A pixel that equals the reference gets nothing, whatever it means.

    Args:
        model: Gives one logit a class.
        images: Images in [0, 1].
        classes: The class asked about, of each image.
        reference: What the path starts from: an image of nothing, such as one even gray.
        steps: Points of the Gauss-Legendre quadrature; at least 2.

    Returns:
        What each pixel adds; and of each image by how much their sum misses completeness, as
        a share of the difference of the margins.

    Raises:
        ValueError: If ``steps`` is below 2.

    Example:
        >>> flat = nn.Sequential(nn.Flatten(), nn.Linear(4, 2, bias=False))
        >>> _ = flat[1].weight.data.copy_(torch.tensor([[1.0, 2, 3, 4], [0, 0, 0, 0]]))
        >>> found, missed = integrated_gradients(
        ...     flat, torch.ones(1, 1, 2, 2), torch.tensor([0]), torch.zeros(1, 1, 1, 1))
        >>> found.detach()[0, 0].round(decimals=4), bool(missed < 1e-5)
        (tensor([[1., 2.],
                 [3., 4.]]), True)

    References:
        .. [1] Sundararajan et al., 2017, arXiv:1703.01365
    """
    if steps < 2:
        raise ValueError(f"steps must be at least 2, got {steps}")
    from captum.attr import IntegratedGradients  # slow to import

    margin = Margin(model)
    start = reference.expand_as(images).contiguous()
    found = IntegratedGradients(margin).attribute(
        images, baselines=start, target=classes, n_steps=steps, internal_batch_size=len(images)
    )
    found = found.detach().to(images.dtype)  # captum adds up in float64
    with torch.no_grad():
        own = classes[:, None]
        rise = (margin(images) - margin(start)).gather(1, own)[:, 0]
    missed = (found.flatten(1).sum(dim=1) - rise).abs() / rise.abs().clamp(min=1e-12)
    return found, missed


def saliency(
    model: nn.Module,
    images: Float[Tensor, "batch channel height width"],
    classes: Int[Tensor, "batch"],
) -> Float[Tensor, "batch channel height width"]:
    """Return the absolute gradient of the margin of a class in each pixel [1]_.

    Args:
        model: Gives one logit a class.
        images: Images in [0, 1].
        classes: The class asked about, of each image.

    References:
        .. [1] Simonyan et al., 2014, arXiv:1312.6034
    """
    from captum.attr import Saliency

    found = Saliency(Margin(model)).attribute(images.clone().requires_grad_(), target=classes)
    return cast("Tensor", found.detach())


def grad_cam(
    model: Classifier | Baseline,
    images: Float[Tensor, "batch channel height width"],
    classes: Int[Tensor, "batch"],
) -> Float[Tensor, "batch rows cols"]:
    """Return Grad-CAM [1]_ on the tokens of the last block, or the last map of a baseline.

    Each channel is weighted by the mean gradient of the margin in it over all places; the
    weighted sum is kept where it speaks for the class. Of an encoder the channels are
    those that enter the last block (after its first norm): behind it, the patches no longer
    reach a class token, so that their gradient would be zero.

    Args:
        model: A classifier of tokens, or a timm model that ends in a map of features.
        images: Images in [0, 1].
        classes: The class asked about, of each image.

    Returns:
        Values of at least 0, one a patch or place of the map.

    Raises:
        ValueError: If a baseline's last features are no map.

    References:
        .. [1] Selvaraju et al., 2017, arXiv:1610.02391
    """
    with torch.enable_grad():
        if isinstance(model, Classifier):
            channels, logits = _last_tokens(model, images)
        else:
            channels, logits = _last_map(model, images)
        chosen = margins(logits).gather(1, classes[:, None]).sum()
        gradient = torch.autograd.grad(chosen, channels)[0]
    places, slopes = (_as_map(model, part.detach()) for part in (channels, gradient))
    weights = slopes.mean(dim=(1, 2), keepdim=True)
    return (places * weights).sum(dim=3).relu()


def _last_tokens(model: Classifier, images: Tensor) -> tuple[Tensor, Tensor]:
    kept: list[Tensor] = []

    def keep(_: Any, __: Any, tokens: Tensor) -> None:
        kept.append(tokens)

    last = cast("Any", model.encoder.vit.blocks[-1])
    hook = last.norm1.register_forward_hook(keep)
    try:
        # Asking for the image's gradient keeps the graph, even if all weights are frozen.
        logits = model(images.clone().requires_grad_())
    finally:
        hook.remove()
    return kept[0], logits


def _last_map(model: Baseline, images: Tensor) -> tuple[Tensor, Tensor]:
    channels = model.feature_map(images.clone().requires_grad_())
    if channels.ndim != 4:
        raise ValueError(
            f"the last features of the baseline are no map but {tuple(channels.shape[1:])}"
        )
    return channels, model.logits_of(channels)


def _as_map(
    model: Classifier | Baseline, values: Tensor
) -> Float[Tensor, "batch rows cols width"]:
    if isinstance(model, Classifier):
        return values[:, 1:].reshape(len(values), *model.encoder.grid, -1)
    width = int(cast("Any", model.net).num_features)
    last = values.shape[3] == width and values.shape[1] != width  # such as Swin's maps
    return values if last else values.permute(0, 2, 3, 1)
