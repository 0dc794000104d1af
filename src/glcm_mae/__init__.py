"""Texture-aware masked autoencoder pre-training for medical images."""

from glcm_mae.version import __version__

__all__ = ["__version__"]
