"""The second wall in a real pod: what the harness found of the walls, and what a strategy finds behind them."""

import json

from support.cluster import POD, Cluster
from support.probe import look_inside
from support.runs import strategy_run, wait_finished


def test_the_document_says_which_walls_hold(cluster: Cluster, namespace: str) -> None:
    """The pod's and the harness's, tried before the first line of the strategy."""
    cluster.create(strategy_run(namespace=namespace, ttlSecondsAfterFinished=600))
    assert wait_finished(cluster, namespace)["status"]["phase"] == "Succeeded"
    (pod,) = cluster.list(POD, namespace)
    (strategy,) = [each for each in pod["status"]["initContainerStatuses"] if each["name"] == "strategy"]
    walls = json.loads(strategy["state"]["terminated"]["message"])["walls"]
    landlock = walls.pop("landlock")
    assert landlock is None or landlock >= 1
    assert walls == {
        "executor": "Sandbox",
        "uid": 1000,
        "noNewPrivs": True,
        "capabilities": 0,
        "seccompFilters": 2,
        "unlisted": "refused",
        "sockets": "refused",
        "rootReadOnly": True,
        "token": "absent",
        "memoryLimit": 2 << 30,
        "exec": "refused",
        "fork": "refused",
    }


def test_no_process_no_program_and_no_signal(cluster: Cluster, namespace: str) -> None:
    """Each of Python's ways ends in EPERM; the supervisor and its attributes are out of reach."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import ctypes, errno, fcntl, multiprocessing, os, resource, subprocess

        def attempt(call):
            try:
                call()
            except OSError as error:
                return errno.errorcode[error.errno]
            return "worked"

        def look(params):
            reading, _ = os.pipe()
            return {
                "fork": attempt(os.fork),
                "exec": attempt(lambda: os.execv("/bin/sh", ["sh"])),
                "spawn": attempt(lambda: os.posix_spawn("/bin/sh", ["sh"], {})),
                "subprocess": attempt(lambda: subprocess.run(["true"])),
                "multiprocessing": attempt(multiprocessing.Process(target=print).start),
                "kill": attempt(lambda: os.kill(1, 15)),
                "limit": attempt(lambda: resource.prlimit(1, resource.RLIMIT_NOFILE, (1, 1))),
                "owner": attempt(lambda: fcntl.fcntl(reading, fcntl.F_SETOWN, 1)),
                "session": attempt(os.setsid),
            }
        """,
    )
    assert set(found.values()) == {"EPERM"}, found


def test_every_library_works_behind_it(cluster: Cluster, namespace: str) -> None:
    """Each in threads or alone, imported after the wall was closed."""
    found = look_inside(
        cluster,
        namespace,
        """\
        import asyncio, tempfile, warnings
        from concurrent.futures import ThreadPoolExecutor

        def look(params):
            warnings.simplefilter("ignore")
            import duckdb, networkx, numpy as np, pandas as pd, talib
            from joblib import Parallel, delayed
            from scipy.optimize import minimize
            from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestClassifier
            from sklearn.linear_model import Ridge
            from sklearn.model_selection import GridSearchCV
            x, y = np.random.rand(100, 3), np.arange(100)
            forest = RandomForestClassifier(8, n_jobs=-1).fit(x, y % 2)
            boosted = HistGradientBoostingRegressor(max_iter=5).fit(x, y)
            grid = GridSearchCV(Ridge(), {"alpha": [1, 2]}, n_jobs=-1).fit(x, y)
            with ThreadPoolExecutor(4) as pool:
                total = sum(pool.map(abs, range(10)))
            path = tempfile.mkdtemp() + "/frame.parquet"
            pd.DataFrame({"a": [1, 2]}).to_parquet(path)
            return {
                "numpy": bool((np.linalg.svd(x)[1] > 0).all()),
                "scikit-learn": [len(forest.predict(x)), boosted.n_iter_, len(grid.best_params_)],
                "joblib": [Parallel(2, each)(delayed(abs)(-i) for i in range(3)) for each in params["backends"]],
                "talib": float(talib.SMA(np.arange(50.0), 5)[-1]),
                "networkx": len(networkx.pagerank(networkx.path_graph(5))),
                "scipy": bool(minimize(lambda v: (v**2).sum(), [1.0, 2.0]).success),
                "pyarrow": len(pd.read_parquet(path)),
                "duckdb": duckdb.sql("select sum(range)::bigint from range(1000)").fetchone()[0],
                "threads": total,
                "asyncio": asyncio.run(asyncio.to_thread(abs, -3)),
            }
        """,
        backends=["loky", "threading", "multiprocessing"],
    )
    assert found == {
        "numpy": True,
        "scikit-learn": [100, 5, 1],
        "joblib": [[0, 1, 2]] * 3,
        "talib": 47.0,
        "networkx": 5,
        "scipy": True,
        "pyarrow": 2,
        "duckdb": 499500,
        "threads": 45,
        "asyncio": 3,
    }
