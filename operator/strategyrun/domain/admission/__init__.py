"""The ValidatingAdmissionPolicies that hold every Job and pod with our labels to the shape that `job` builds.

`policies` has each of them and its binding. What they state of runs is in `runs`, of canaries in `canaries`, of both in
`shape`; `example` is what that is read off. `profile` has what a SandboxProfile says, and `accounts` who may what.

Only fields that Kubernetes 1.32 knows are looked at.
"""
