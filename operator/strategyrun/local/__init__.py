"""Runs without a cluster: the operator's own decisions, with boxes of this machine in place of a pod."""
