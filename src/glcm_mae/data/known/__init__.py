"""The public data sets: what was published of them, and whether a folder agrees."""
