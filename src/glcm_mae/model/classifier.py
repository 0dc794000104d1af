"""An encoder with a linear head, and its parameters grouped by layer."""

from typing import Literal, TypedDict, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from glcm_mae.model.baseline import Baseline
from glcm_mae.model.encoder import Encoder
from glcm_mae.model.pooling import AttentionPool, pool_tokens
from glcm_mae.model.weights.foreign import traits_of_vit


class Classifier(nn.Module):
    """Classify images from the tokens of an encoder.

    Args:
        encoder: Pre-trained or random.
        classes: Number of classes.
        pooling: ``mean`` of the patch tokens, the ``cls`` token, or ``attention`` of one
            learnt query to the patch tokens.
        frozen: Train all but the encoder, which stays in evaluation mode.

    Example:
        >>> from glcm_mae.model.encoder import build_encoder
        >>> encoder = build_encoder("vit_tiny_patch16_224", image_size=(32, 32),
        ...                         patch_size=16, channels=1, options={"depth": 1})
        >>> Classifier(encoder, classes=3)(torch.rand(2, 1, 32, 32)).shape
        torch.Size([2, 3])
    """

    averages_batches = False

    def __init__(
        self,
        encoder: Encoder,
        *,
        classes: int,
        pooling: Literal["mean", "cls", "attention"] = "mean",
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.pooling = pooling
        self.frozen = frozen
        if frozen:
            encoder.requires_grad_(False)
        self.norm = nn.LayerNorm(encoder.width)
        self.head = nn.Linear(encoder.width, classes)
        # A near-zero head starts from equal probabilities: He et al. 2022, appendix A.
        nn.init.normal_(self.head.weight, std=2e-5)
        nn.init.zeros_(self.head.bias)
        if pooling == "attention":
            heads = traits_of_vit(encoder.vit).heads or 1
            self.pool = AttentionPool(encoder.width, heads=heads)

    def train(self, mode: bool = True) -> "Classifier":
        """Enter training mode, or leave it; a frozen encoder stays out of it."""
        super().train(mode)
        if self.frozen:
            self.encoder.eval()
        return self

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch classes"]:
        """Return one logit a class for images in [0, 1]."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self.encoder(images)
        if self.pooling == "attention":
            pooled = self.pool(tokens[:, 1:])
        else:
            pooled = pool_tokens(tokens, self.pooling)
        return cast("Tensor", self.head(self.norm(pooled)))


class ParameterGroup(TypedDict):
    """One group for AdamW; ``scale`` multiplies the learning rate of the schedule."""

    params: list[nn.Parameter]
    weight_decay: float
    scale: float


def decays(name: str, parameter: Tensor) -> bool:
    """Say whether weight decay applies: to matrices, not to norms, biases and tokens."""
    return parameter.ndim > 1 and not name.endswith(
        ("cls_token", "mask_token", "pos_embed", "pool.query")
    )


def parameter_groups(
    model: nn.Module, *, weight_decay: float, layer_decay: float = 1.0
) -> list[ParameterGroup]:
    """Group the trainable parameters by layer, and by whether weight decay applies.

    The head has scale 1, the last block ``layer_decay``, the one before
    ``layer_decay ** 2``, and so on down to the patch embedding [1]_. Of a baseline, layers
    are those of :meth:`~glcm_mae.model.baseline.Baseline.layers`.

    Args:
        model: A classifier, a baseline or an autoencoder.
        weight_decay: Decoupled weight decay of the matrices.
        layer_decay: Factor from a layer to the one below; 1 treats all layers alike.

    Returns:
        Groups in the order of the layers.

    References:
        .. [1] Clark et al., 2020, arXiv:2003.10555; Bao et al., 2021, arXiv:2106.08254
    """
    layers, undecayed = _layers(model)
    top = max(layers.values())
    groups: dict[tuple[int, bool], ParameterGroup] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        key = (layers[name], decays(name, parameter) and name not in undecayed)
        scale = layer_decay ** (top - key[0])
        decay = weight_decay if key[1] else 0.0
        group = groups.setdefault(key, {"params": [], "weight_decay": decay, "scale": scale})
        group["params"].append(parameter)
    return [groups[key] for key in sorted(groups)]


def _layers(model: nn.Module) -> tuple[dict[str, int], frozenset[str]]:
    """Number the layer of every parameter, and name those that further do not decay."""
    if isinstance(model, Baseline):
        return model.layers(), model.undecayed()
    depth = sum(1 for name, _ in model.named_modules() if _is_encoder_block(name))
    return {name: _layer(name, depth) for name, _ in model.named_parameters()}, frozenset()


def _is_encoder_block(name: str) -> bool:
    return name.startswith("encoder.vit.blocks.") and name.count(".") == 3


def _layer(name: str, depth: int) -> int:
    """Number the layer of a parameter: 0 the embedding, 1..depth the blocks, then the rest."""
    if name.startswith("encoder.vit.blocks."):
        return int(name.split(".")[3]) + 1
    embedding = ("encoder.vit.patch_embed", "encoder.vit.cls_token", "encoder.vit.norm_pre")
    return 0 if name.startswith(embedding) else depth + 1


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def class_weights(labels: Int[Tensor, "images"], classes: int) -> Float[Tensor, "classes"]:
    """Return weights inverse to the class counts, averaging one over the images.

    Example:
        >>> class_weights(torch.tensor([0, 0, 0, 1]), 2)
        tensor([0.6667, 2.0000])
    """
    counts = torch.bincount(labels, minlength=classes).clamp(min=1)
    return len(labels) / (classes * counts.float())
