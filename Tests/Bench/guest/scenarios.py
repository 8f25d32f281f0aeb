#!/usr/bin/env python3
"""What is tried in the guest; each scenario is a function. Prints `ok NAME` or `failed NAME: why` for each, and ends with 1 where
one has failed.

    scenarios.py --list [GROUP]
    scenarios.py NAME...
"""

import sys
import traceback

sys.dont_write_bytecode = True
import bench_scenarios  # noqa: E402, F401
import ble_scenarios  # noqa: E402, F401
import ble_driver_scenarios  # noqa: E402, F401
import ble_log_scenarios  # noqa: E402, F401
import commission_scenarios  # noqa: E402, F401
import expander_scenarios  # noqa: E402, F401
import gpio_scenarios  # noqa: E402, F401
import guardian_scenarios  # noqa: E402, F401
import shim_scenarios  # noqa: E402, F401
import sleep_scenarios  # noqa: E402, F401
from registry import SCENARIOS  # noqa: E402


def main():
    words = sys.argv[1:]
    if words[:1] == ["--list"]:
        for name, (group, _) in SCENARIOS.items():
            if words[1:2] in ([], [group]):
                print(name)
        return 0
    failed = 0
    for name in words:
        try:
            SCENARIOS[name][1]()
            print(f"ok {name}", flush=True)
        except Exception as problem:
            failed = 1
            place = traceback.extract_tb(problem.__traceback__)[-1]
            print(f"failed {name}: {problem or type(problem).__name__} ({place.name}, line {place.lineno})", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
