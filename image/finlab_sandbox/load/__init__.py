"""The first trusted step: turns a user's tables into a dataset directory. Standard library, numpy and pyarrow alone.

It runs before any strategy and sees none. pandas stays out: importing it costs more than reading a million rows, and
`pyarrow.Array.to_numpy` imports it, which is why arrays are opened with `load.arrow`.
"""
