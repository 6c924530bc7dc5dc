"""Where the operator meets the cluster, the clock and the files."""
