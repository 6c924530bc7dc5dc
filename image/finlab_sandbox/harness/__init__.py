"""The untrusted step: runs the strategy and hands its positions over.

A supervisor (PID 1 in the pod, standard library alone) forks a child before anything heavy is imported. The child
imports, reads the input document and runs the strategy: three steps kept apart. From the third on it is hostile, so
the supervisor believes nothing of it: the time limit, the way it ended and the shape of what it left are seen from
outside.
"""
