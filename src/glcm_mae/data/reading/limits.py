"""How much memory and time a file may cost."""

MEMORY = 800 * 2**20
"""Bytes of address space that one request may take. What a child maps and touches before,
and what it keeps after, stays below 200 MiB: so it stays below 1 GiB. Only Linux enforces
it."""
LEFT_OVER = 200 * 2**20
"""A child with more resident bytes after a request is replaced: its decoders leak."""
SECONDS = 4.0
"""Seconds of processor time that a file may take."""
SECONDS_PER_MEGABYTE = 1.0
"""Seconds that come on top for each 10**6 bytes of the file."""
WALL_FACTOR = 10.0
"""Seconds on the clock that a file may take, for each second of processor time."""

TOO_MUCH_MEMORY = f"decoding it takes more than {MEMORY // 2**20} MiB of memory"
SCALE_DOWN = "scale it down, split it or remove it"
