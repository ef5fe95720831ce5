#!/usr/bin/env python3
"""Measures Realm and llama.cpp side by side: prompt 512, decode 128, batched decode at 4, 16 and 64.

The rule (docs/measuring.md): first the peer's settings (repack on/off x flash attention on/off) are
tried and its best one per cell is taken; then >= 7 pairs with alternating order, 2 threads a side. The
figure is the median of the pairs' ratios. A cell is void when foreign load exceeds 0.1 core or a side's
p90/p10 exceeds 1.15, and is measured again, at most twice. Everything goes to bench/results/*.json."""
import argparse
import datetime
import hashlib
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
REALM = ROOT / "build/release/realm"
LLAMA = pathlib.Path(os.environ.get("LLAMA_BIN", "."))
MODELS = pathlib.Path(os.environ.get("REALM_MODELS_DIR") or
                      pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "realm/models")
CELLS = ("pp512", "tg128", "tg64x4", "tg64x16", "tg64x64")
SETTINGS = [(repack, fa) for repack in (1, 0) for fa in ("on", "off")]


def cpu_seconds():
    """(busy CPU seconds of the machine, CPU seconds of our finished children)"""
    fields = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    tick = os.sysconf("SC_CLK_TCK")
    times = os.times()
    return (sum(fields[:3]) + sum(fields[5:8])) / tick, times.children_user + times.children_system


def call(command):
    env = dict(os.environ, LD_LIBRARY_PATH=str(LLAMA))
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout


def batch_of(cell):
    return int(cell.split("x")[1]) if "x" in cell else 0


def peer(file, cell, setting, reps, threads):
    repack, fa = setting
    if batch_of(cell):
        n = batch_of(cell)
        command = [LLAMA / "llama-batched-bench", "-m", file, "-c", 16384, "-b", 2048, "-ub", 512, "-t", threads,
                   "-tb", threads, "-npp", 128, "-ntg", 64, "-npl", n, "-fa", fa, "--output-format", "jsonl"]
        command += [] if repack else ["-nr"]
        rows = []
        for _ in range(reps):
            rows += [json.loads(x) for x in call(command).splitlines() if x.startswith("{")]
        assert all(r["tg"] == 64 and r["pl"] == n and r["n_threads"] == threads for r in rows), rows
        return statistics.median(r["speed_tg"] for r in rows), command
    p, n = (512, 0) if cell == "pp512" else (0, 128)
    command = [LLAMA / "llama-bench", "-m", file, "-t", threads, "--repack", repack, "-fa", fa, "-p", p, "-n", n,
               "-r", reps, "-o", "json"]
    row = json.loads(call(command))[0]
    assert (row["n_prompt"], row["n_gen"], row["n_threads"]) == (p, n, threads), row
    return statistics.median(row["samples_ts"]), command


def realm(name, cell, reps, threads):
    p, n, b = {"pp512": (512, 0, 0), "tg128": (0, 128, 0)}.get(cell, (0, 0, batch_of(cell)))
    command = [REALM, "bench", name, "-p", p, "-n", n, "-b", b, "-t", threads, "-r", reps, "--json"]
    report = json.loads(call(command))
    row = next(r for r in report["results"] if r["test"] == cell)
    assert report["threads"] == threads and len(report["results"]) == 1, report
    return row["tokens_per_second"], command, report


def spread(samples):
    s = sorted(samples)
    pick = lambda q: s[min(len(s) - 1, int(q * (len(s) - 1) + 0.5))]
    return pick(0.9) / pick(0.1)


def measure(name, file, cell, args):
    rough = {s: peer(file, cell, s, 1, args.threads)[0] for s in SETTINGS}
    best = max(rough, key=rough.get)
    mine = realm(name, cell, 1, args.threads)[0]
    tokens = {"pp512": 512, "tg128": 128}.get(cell, 64 * batch_of(cell))
    reps = lambda rate: max(1, int(args.seconds * rate / tokens + 0.999))
    pairs, commands, report = [], {}, {}
    busy0, ours0 = cpu_seconds()
    started = datetime.datetime.now()
    for i in range(args.pairs):
        sides = {}
        for side in ("realm", "peer")[:: 1 if i % 2 else -1]:
            if side == "realm":
                sides[side], commands[side], report = realm(name, cell, reps(mine), args.threads)
            else:
                sides[side], commands[side] = peer(file, cell, best, reps(rough[best]), args.threads)
        pairs.append(sides)
    wall = (datetime.datetime.now() - started).total_seconds()
    busy1, ours1 = cpu_seconds()
    foreign = max(0.0, (busy1 - busy0 - (ours1 - ours0)) / wall)
    spreads = {side: spread([p[side] for p in pairs]) for side in ("realm", "peer")}
    return {
        "model": name, "cell": cell, "ratio": statistics.median(p["realm"] / p["peer"] for p in pairs),
        "realm": statistics.median(p["realm"] for p in pairs), "peer": statistics.median(p["peer"] for p in pairs),
        "pairs": pairs, "peer_settings": {f"repack={r} fa={f}": v for (r, f), v in rough.items()},
        "peer_best": f"repack={best[0]} fa={best[1]}", "foreign_cores": round(foreign, 3),
        "spread": {k: round(v, 3) for k, v in spreads.items()},
        "void": foreign > 0.1 or max(spreads.values()) > 1.15,
        "commands": {k: " ".join(map(str, v)) for k, v in commands.items()},
        "realm_levels": report.get("levels"), "cpu": report.get("cpu"),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", default=["gemma3-270m", "qwen2.5-coder-0.5b"])
    parser.add_argument("--cells", default=",".join(CELLS))
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=5.0, help="least length of one sample")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="3 pairs of 2 seconds: a look, not a figure")
    args = parser.parse_args()
    if args.quick:
        args.pairs, args.seconds = 3, 2.0
    results = []
    print(f"{'model':<20} {'cell':<8} {'Realm':>9} {'llama.cpp':>9} {'ratio':>6}  peer's best setting")
    for name in args.models:
        file = MODELS / f"{name}.gguf"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        known = {m["name"]: m["sha256"] for m in json.loads(call([REALM, "models", "--json"]))["models"]}
        if known.get(name) != digest:
            sys.exit(f"{name}: the registry's file is not {file}: import it first")
        for cell in args.cells.split(","):
            for attempt in range(3):
                row = measure(name, file, cell, args)
                results.append(row)
                note = f"  void: foreign {row['foreign_cores']}, spread {row['spread']}" if row["void"] else ""
                print(f"{name:<20} {cell:<8} {row['realm']:9.1f} {row['peer']:9.1f} {row['ratio']:6.2f}  "
                      f"{row['peer_best']}{note}", flush=True)
                if not row["void"] or args.quick:
                    break
    now = datetime.datetime.now(datetime.timezone.utc)
    out = ROOT / "bench/results" / f"peers-{now:%Y%m%d-%H%M%S}.json"
    out.parent.mkdir(exist_ok=True)
    version = call([LLAMA / "llama-bench", "--version"]).strip() if (LLAMA / "llama-bench").exists() else ""
    out.write_text(json.dumps({"time": now.isoformat(), "cpu": results[-1]["cpu"], "kernel": platform.release(),
                               "peer": "llama-cpp-python 0.3.36 " + version, "rule": vars(args),
                               "results": results}, indent=1) + "\n")
    print(f"written to {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
