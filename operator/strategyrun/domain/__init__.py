"""Everything the operator decides, on values: no cluster, no clock, no files."""
