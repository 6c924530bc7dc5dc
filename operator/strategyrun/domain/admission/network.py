"""What the deny-all NetworkPolicy of a namespace says, whoever makes it."""

from strategyrun.domain.admission.clause import Clause, cel
from strategyrun.domain.network_policy import POLICY_NAME, deny_all


def network_clauses() -> list[Clause]:
    """State what carries the name that the operator takes for its deny-all policy, and that it makes no other."""
    spec = deny_all("any")["spec"]
    selector, types = cel(spec["podSelector"]["matchLabels"]), cel(spec["policyTypes"])
    return [
        Clause(
            f"object.metadata.name == {cel(POLICY_NAME)}",
            f"the operator makes no NetworkPolicy but {POLICY_NAME}: others could let something through",
        ),
        Clause(
            f"object.spec.?podSelector.?matchLabels.orValue({{}}) == {selector}"
            " && object.spec.?podSelector.?matchExpressions.orValue([]).size() == 0"
            f" && object.spec.?policyTypes.orValue([]) == {types}"
            " && object.spec.?ingress.orValue([]).size() == 0 && object.spec.?egress.orValue([]).size() == 0",
            f"{POLICY_NAME} must select every pod of runs and let nothing in or out: runs rely on its name",
        ),
    ]
