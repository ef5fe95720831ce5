#!/usr/bin/env python3
"""How long until the first byte: from exec to the first byte on standard output, which is the first token's, everything
in the page cache. Realm runs the program stream, which writes each token as it comes (hello writes its reply at the end);
with LLAMA_BIN set, llama-completion runs the same file with the same prompt and thread count, the two taking turns. Then
the process is killed. The figure is the median of 20. It counts when nothing else used the machine: the result says how
much foreign load there was. Writes bench/results/start-*.json.

usage: run.py MODEL[=FILE.gguf]...     a name of the registry, and its GGUF file for the peer
environment: REALM_BIN, REALM_HOME, LLAMA_BIN (folder of llama.cpp's tools)"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
REALM = pathlib.Path(os.environ.get("REALM_BIN") or ROOT / "build/release/realm")
PROGRAM = ROOT / "build/release/guests/stream.wasm"
LLAMA = os.environ.get("LLAMA_BIN")
TICK = os.sysconf("SC_CLK_TCK")
MODELS = pathlib.Path(os.environ.get("REALM_MODELS_DIR") or
                      pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "realm/models")


def busy_seconds():
    """-> busy CPU seconds of the machine, of ours and our finished children"""
    fields = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    return (sum(fields[:3]) + sum(fields[5:8])) / TICK, sum(os.times()[:4])


def first_byte(command, env):
    """-> milliseconds until the first byte"""
    with tempfile.TemporaryFile() as log:  # no pipe: nobody reads it meanwhile
        begin = time.monotonic()
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=env)
        byte = os.read(child.stdout.fileno(), 1)
        first = time.monotonic()
        child.kill()
        child.communicate()
        if not byte:
            log.seek(0)
            sys.exit(f"{' '.join(shown(command))}: no first byte\n{log.read().decode(errors='replace')[-2000:]}")
    return (first - begin) * 1e3


def shown(command):
    """File names in place of paths: results travel."""
    return [pathlib.Path(c).name if os.sep in c else c for c in command]


def sides_of(name, file, args):
    """-> (who, command, environment) of each side"""
    env = dict(os.environ, REALM_THREADS=str(args.threads))
    yield "realm", [str(REALM), "run", str(PROGRAM), "-m", name, "-p", args.prompt, "-q"], env
    if LLAMA:
        path = file or MODELS / f"{name}.gguf"
        yield ("llama-completion",
               [f"{LLAMA}/llama-completion", "-m", str(path), "-p", args.prompt, "-n", "1", "-t", str(args.threads), "-no-cnv",
                "--no-display-prompt", "--no-warmup"], dict(os.environ, LD_LIBRARY_PATH=LLAMA))


def measure(sides, n):
    """Both sides in turn, once unmeasured. -> {who: {...}}"""
    samples = {who: [] for who, _, _ in sides}
    for i in range(-1, n):
        for who, command, env in sides if i % 2 else sides[::-1]:
            took = first_byte(command, env)
            if i >= 0:
                samples[who].append(took)
    return {who: {"first_byte_ms": statistics.median(t), "samples_ms": [round(s, 2) for s in t]}
            for who, t in samples.items()}


def model(spec, args):
    name, _, file = spec.partition("=")
    sides = list(sides_of(name, file, args))
    begin, (all0, ours0) = time.monotonic(), busy_seconds()
    got = measure(sides, args.runs)
    seconds, (all1, ours1) = time.monotonic() - begin, busy_seconds()
    row = {"model": name, "sides": got, "foreign_cores": round((all1 - all0 - ours1 + ours0) / seconds, 3),
           "commands": {who: shown(command) for who, command, _ in sides}}
    if LLAMA:
        row["ratio"] = got["realm"]["first_byte_ms"] / got["llama-completion"]["first_byte_ms"]
    print(f"{name:24}" + "".join(f"{who} {x['first_byte_ms']:.1f} ms  " for who, x in got.items()) +
          (f"ratio {row['ratio']:.3f}  " if LLAMA else "") + f"foreign {row['foreign_cores']:.2f} cores")
    return row


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("models", nargs="+", metavar="MODEL[=FILE]")
    p.add_argument("-r", "--runs", type=int, default=20)
    p.add_argument("-t", "--threads", type=int, default=2)
    p.add_argument("-p", "--prompt", default="Hi")
    args = p.parse_args()
    rows = [model(spec, args) for spec in args.models]
    now = datetime.datetime.now(datetime.timezone.utc)
    out = ROOT / f"bench/results/start-{now:%Y%m%d-%H%M%S}.json"
    out.write_text(json.dumps({"bench": "start", "date": now.isoformat(timespec="seconds"), "runs": args.runs,
                               "threads": args.threads, "prompt": args.prompt, "machine": platform.machine(),
                               "rows": rows}, indent=1) + "\n")
    print(out.relative_to(ROOT))


if __name__ == "__main__":
    main()
