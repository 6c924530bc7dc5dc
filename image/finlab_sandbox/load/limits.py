"""How large a dataset may be."""

MIB = 1024 * 1024

MAX_FILES = 10_000
MAX_DEPTH = 8
"""Folders below the source."""

MAX_SOURCE_BYTES = 512 * MIB
"""All files together, after decompression."""

MAX_ROWS = 32_000_000
"""All tables together."""

MAX_DATES = 20_000
MAX_SYMBOLS = 5_000
MAX_FIELDS = 64
MAX_COLUMNS = 1_024
"""Of one table; those that hold no numbers are left out."""

MAX_DATASET_BYTES = 512 * MIB
"""Dates x symbols x fields as float64; the same for what the tables hold as numbers."""

MAX_SYMBOL_CHARS = 32
MAX_FIELD_BYTES = 64
MAX_LINE_BYTES = 4 * MIB
MAX_HEADER_BYTES = 64 * 1024

MAX_MEMORY_BYTES = 1536 * MIB
"""Of this process: a file that needs more is refused by name before the container's limit ends it without a word."""
