"""Decoded images: kept in memory, in a cache that all runs share, or in shards."""
