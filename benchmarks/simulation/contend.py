"""One simulator with one policy on the work: ``python contend.py FOLDER SIMULATOR POLICY``.

Prints CPU seconds, mean reward, and MB before the first request and at the peak, as JSON. What
is imported and laid out beforehand takes memory, but no time.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from importlib import import_module
from pathlib import Path

MODULES = {"ours": "our_runs", "obp": "obp_runs", "obp-replay": "obp_runs", "coba": "coba_runs"}


def main() -> None:
    """Simulate, and say what it took; or which module is missing."""
    folder, simulator, policy = sys.argv[1:]
    try:
        makers = import_module(MODULES[simulator]).MAKERS
    except ModuleNotFoundError as missing:
        print(json.dumps({"missing": missing.name}))
        return
    run = makers[simulator](Path(folder), policy)
    before, began = peak_mb(), time.process_time()
    reward = run()
    seconds = time.process_time() - began
    found = {"seconds": seconds, "reward": reward, "before_mb": before, "peak_mb": peak_mb()}
    print(json.dumps(found))


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
