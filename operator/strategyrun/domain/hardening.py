"""The isolation facts of every pod, as fragments of a pod spec. There is no parameter to weaken them."""

from typing import Any

STRATEGY_UID = 1000
EVALUATE_UID = 2000
DATASET_UID = 3000

_NEWER_THAN_AVX2 = ("AVX512F", "AVX512CD", "AVX512_SKX", "AVX512_CLX", "AVX512_CNL", "AVX512_ICL")
"""What numpy would use where a processor has it: its exp, log and pow differ there in the last bit."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


def pod_isolation(seccomp_profile: dict[str, str]) -> dict[str, Any]:
    """Return what holds for the pod as a whole: no token, no names, no host, no lookups."""
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "dnsPolicy": "None",
        # A resolver that nobody answers at: look-ups fail at once instead of hanging.
        "dnsConfig": {"nameservers": ["127.0.0.1"], "options": [{"name": "attempts", "value": "1"}]},
        "hostNetwork": False,
        "hostPID": False,
        "hostIPC": False,
        "shareProcessNamespace": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": STRATEGY_UID,
            "runAsGroup": STRATEGY_UID,
            "seccompProfile": seccomp_profile,
        },
    }


def container_isolation(uid: int) -> dict[str, Any]:
    """Return the security context of one container, for a user of its own."""
    return {
        "runAsNonRoot": True,
        "runAsUser": uid,
        "runAsGroup": uid,
        "privileged": False,
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def environment() -> list[dict[str, str]]:
    """Return the environment: half a CPU has one thread, only /tmp can be written, equal runs give equal results.

    So that they do on every node, numpy and OpenBLAS compute as on a processor with AVX2, whatever it has besides.
    """
    return [
        *({"name": name, "value": "1"} for name in _THREADS),
        {"name": "HOME", "value": "/tmp"},  # noqa: S108 - a mount of the pod, not of this host
        {"name": "TZ", "value": "UTC"},
        {"name": "PYTHONHASHSEED", "value": "0"},
        {"name": "NPY_DISABLE_CPU_FEATURES", "value": " ".join(_NEWER_THAN_AVX2)},
        {"name": "OPENBLAS_CORETYPE", "value": "Haswell"},
        {"name": "LOKY_MAX_CPU_COUNT", "value": "1"},
        {"name": "JOBLIB_MULTIPROCESSING", "value": "0"},
    ]
