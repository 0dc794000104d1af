"""Settings of a model that trains in a moment, and the type of a command line."""

from collections.abc import Callable

TINY = [
    *("--model.encoder", "vit_tiny_patch16_224"),
    *("--model.encoder_options", "{depth: 1, embed_dim: 32, num_heads: 2}"),
    *("--model.image_size", "32"),
    *("--model.patch_size", "8"),
    *("--model.decoder_depth", "1"),
    *("--model.decoder_width", "32"),
    *("--model.decoder_heads", "2"),
]
PRETRAIN = [
    *TINY,
    *("--losses.ssim.window", "7"),
    *("--pretraining.epochs", "2"),
    *("--pretraining.batch_size", "8"),
    *("--pretraining.warmup_epochs", "1"),
    *("--pretraining.shares_every", "1"),
]
FINETUNE = [
    *("--finetuning.epochs", "2"),
    *("--finetuning.batch_size", "8"),
    *("--finetuning.warmup_epochs", "1"),
]

Outcome = tuple[int, str, str]
Command = Callable[..., Outcome]
