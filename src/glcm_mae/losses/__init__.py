"""What is asked of a reconstruction: tensors in, a scalar out."""

from glcm_mae.losses.objective import Objective, gradient_shares
from glcm_mae.losses.pixel import masked_mse, masked_ssim
from glcm_mae.losses.texture import texture_loss

__all__ = ["Objective", "gradient_shares", "masked_mse", "masked_ssim", "texture_loss"]
