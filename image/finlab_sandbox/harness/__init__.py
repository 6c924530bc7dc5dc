"""The untrusted step: runs the strategy, hands its positions over, and checks them on other futures.

A supervisor (PID 1 in the pod, standard library alone) forks a child before anything heavy is imported. The child
imports, reads the input document and runs the strategy: three steps kept apart. Before the third it takes away from
itself what no strategy needs, and tries whether the walls around it hold. From the third on it is hostile, so
the supervisor believes nothing of it: the time limit, the way it ended and the shape of what it left are seen from
outside. What the check and the strategy say of themselves is passed on as their word, in a bounded shape.
"""
