"""Batches in counted order, augmented by counted random numbers."""
