"""The trusted step: reads positions that hostile code wrote, scores them, reports. Standard library and numpy alone.

It starts once per run on half a core, so a module that is slow to import (dataclasses, pathlib, pandas) has no place
here.
"""
