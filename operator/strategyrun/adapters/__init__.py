"""Where the domain meets the world: cluster, files, environment, child processes."""
