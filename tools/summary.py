#!/usr/bin/env python3
"""Reads ctest's JUnit files: prints what ran, what was skipped, and how many tests ran at each kernel
level. Fails when a level that this machine has ran no test. Its last line is `N passed, N failed, N
skipped`. usage: summary.py FILE.xml..."""
import pathlib
import sys
import xml.etree.ElementTree as tree

LEVELS = ("ref", "avx2", "avx512")
NEEDED = {"ref": (), "avx2": ("avx2", "fma", "f16c"),
          "avx512": ("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512vbmi")}


def cpu():
    text = pathlib.Path("/proc/cpuinfo").read_text()
    field = {line.split(":")[0].strip(): line.split(":", 1)[1].strip() for line in text.splitlines() if ":" in line}
    return field.get("model name", "unknown CPU"), set(field.get("flags", "").split())


def outcome(case):
    if case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    return "skipped" if case.find("skipped") is not None or case.get("status") in ("notrun", "disabled") else "passed"


def main():
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    levels = dict.fromkeys(LEVELS, 0)
    skipped = []
    for name in sys.argv[1:]:
        for case in tree.parse(name).getroot().iter("testcase"):
            result = outcome(case)
            counts[result] += 1
            if result == "skipped":
                skipped.append(f"{pathlib.Path(name).stem.split('-')[0]}: {case.get('name')}")
            level = case.get("name").split(".")[-1]
            if result == "passed" and level in levels:
                levels[level] += 1
    model, flags = cpu()
    print(f"\nCPU: {model}")
    print("tests run per kernel level: " + ", ".join(f"{level} {levels[level]}" for level in LEVELS))
    if skipped:
        print("skipped:\n  " + "\n  ".join(skipped))
    idle = [level for level in LEVELS if flags.issuperset(NEEDED[level]) and not levels[level]]
    idle += [level for level in ("ref", "avx2") if not levels[level] and level not in idle]
    if idle:
        print(f"no test ran at level {', '.join(idle)}: that is a failure")
    failed = counts["failed"] + len(idle)
    print(f"{counts['passed']} passed, {failed} failed, {counts['skipped']} skipped")
    return failed > 0 or counts["passed"] == 0


if __name__ == "__main__":
    sys.exit(main())
