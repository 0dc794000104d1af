"""The fused engine of the GLCM distance: one kernel per kind of device."""
