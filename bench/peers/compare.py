#!/usr/bin/env python3
"""Measures Realm and llama.cpp side by side: prompt 512, decode 128, batched decode at 4, 16 and 64.

The rule (docs/measuring.md): first the peer's settings (repack on/off x flash attention on/off) are
tried and its best one per cell is taken; then >= 7 pairs with alternating order, 2 threads a side, >= 5
seconds a sample. The figure is the median of the pairs' ratios. A cell is void when foreign load exceeds
0.1 core, a side's p90/p10 exceeds 1.15 or a sample was shorter than asked, and is measured again, at most
twice. The bench ends when token counts, thread counts, settings or file digests are not what was asked.
Everything goes to bench/results/*.json, which names files but no folders. Exit code 1: a cell stayed void."""
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
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
REALM = ROOT / "build/release/realm"
LLAMA = pathlib.Path(os.environ.get("LLAMA_BIN", "."))
MODELS = pathlib.Path(os.environ.get("REALM_MODELS_DIR") or
                      pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "realm/models")
CELLS = ("pp512", "tg128", "tg64x4", "tg64x16", "tg64x64")
SETTINGS = [(repack, fa) for repack in (1, 0) for fa in ("on", "off")]


def cpu_seconds():
    """(busy CPU seconds of the machine, CPU seconds of ours and of our finished children)"""
    fields = [int(x) for x in open("/proc/stat").readline().split()[1:]]
    tick = os.sysconf("SC_CLK_TCK")
    return (sum(fields[:3]) + sum(fields[5:8])) / tick, sum(os.times()[:4])


def call(command, both=False):
    env = dict(os.environ, LD_LIBRARY_PATH=str(LLAMA))
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True, env=env)
    except OSError as why:
        sys.exit(f"{command[0]}: {why.strerror}; build Realm (make build) and set LLAMA_BIN, or use bench/peers/run")
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stderr[-2000:]}")
    return done.stdout + (done.stderr if both else "")


def shown(command):
    """The command with file names in place of paths: results travel."""
    return " ".join(pathlib.Path(c).name if os.sep in str(c) else str(c) for c in command)


def same(what, got, want):
    if got != want:
        sys.exit(f"self-check: {what} is {got}, not {want}: the two sides do not do the same")


def batch_of(cell):
    return int(cell.split("x")[1]) if "x" in cell else 0


def tokens_of(cell):
    return {"pp512": 512, "tg128": 128}.get(cell, 64 * batch_of(cell))


def peer_batch(file, cell, setting, reps, threads):
    repack, fa = setting
    n = batch_of(cell)
    command = [LLAMA / "llama-batched-bench", "-m", file, "-c", 16384, "-b", 2048, "-ub", 512, "-t", threads,
               "-tb", threads, "-npp", 128, "-ntg", 64, "-npl", n, "-fa", fa, "--output-format", "jsonl"]
    command += [] if repack else ["-nr"]
    rows = []
    for _ in range(reps):
        rows += [json.loads(x) for x in call(command).splitlines() if x.startswith("{")]
    same(f"{cell}: the peer's count of rows", len(rows), reps)
    for r in rows:
        same(f"{cell}: the peer's (prompt, generated, sequences)", (r["pp"], r["tg"], r["pl"]), (128, 64, n))
        same(f"{cell}: the peer's threads", (r["n_threads"], r["n_threads_batch"]), (threads, threads))
        same(f"{cell}: the peer's flash attention", r["flash_attn"], int(fa == "on"))
    return [r["speed_tg"] for r in rows], command


def peer(file, cell, setting, reps, threads):
    """-> raw samples, command"""
    if batch_of(cell):
        return peer_batch(file, cell, setting, reps, threads)
    repack, fa = setting
    p, n = (512, 0) if cell == "pp512" else (0, 128)
    command = [LLAMA / "llama-bench", "-m", file, "-t", threads, "--repack", repack, "-fa", fa, "-p", p, "-n", n,
               "-r", reps, "-o", "json"]
    row = json.loads(call(command))[0]
    same(f"{cell}: the peer's (prompt, generated)", (row["n_prompt"], row["n_gen"]), (p, n))
    same(f"{cell}: the peer's threads", row["n_threads"], threads)
    same(f"{cell}: the peer's (repack, flash attention)", (int(row["repack"]), row["flash_attn"]),
         (repack, int(fa == "on")))
    return row["samples_ts"], command


def realm(name, digest, cell, reps, threads):
    """-> raw samples, command, report"""
    p, n, b = {"pp512": (512, 0, 0), "tg128": (0, 128, 0)}.get(cell, (0, 0, batch_of(cell)))
    command = [REALM, "bench", name, "-p", p, "-n", n, "-b", b, "-t", threads, "-r", reps, "--json"]
    report = json.loads(call(command))
    same("Realm's tests", [r["test"] for r in report["results"]], [cell])
    same("Realm's threads", report["threads"], threads)
    same("the digest of Realm's model", report["sha256"], digest)
    return report["results"][0]["samples"], command, report


def spread(samples):
    s = sorted(samples)
    pick = lambda q: s[min(len(s) - 1, int(q * (len(s) - 1) + 0.5))]
    return pick(0.9) / pick(0.1)


def try_settings(file, cell, args):
    """The peer's rate by each of its settings, over half a sample each."""
    rough = {}
    for setting in SETTINGS:
        rough[setting] = peer(file, cell, setting, 1, args.threads)[0][0]
        reps = repetitions(cell, rough[setting], args.seconds / 2)
        if reps > 1:  # else that one was long enough
            rough[setting] = statistics.median(peer(file, cell, setting, reps, args.threads)[0])
    return rough


def repetitions(cell, rate, seconds):
    return max(1, int(seconds * 1.3 * rate / tokens_of(cell) + 0.999))  # the rate may rise meanwhile


def take_pairs(name, digest, file, cell, best, rates, args):
    """-> pairs of {"realm", "peer": raw samples}, commands, Realm's last report"""
    pairs, commands, report = [], {}, {}
    reps = {side: repetitions(cell, rate, args.seconds) for side, rate in rates.items()}
    for i in range(args.pairs):
        pair = {}
        for side in ("realm", "peer")[:: 1 if i % 2 else -1]:
            if side == "realm":
                pair[side], commands[side], report = realm(name, digest, cell, reps[side], args.threads)
            else:
                pair[side], commands[side] = peer(file, cell, best, reps[side], args.threads)
        pairs.append(pair)
    return pairs, commands, report


def measure(name, digest, file, cell, args):
    busy0, ours0, started = *cpu_seconds(), time.monotonic()  # the choice of settings counts too
    rough = try_settings(file, cell, args)
    best = max(rough, key=rough.get)
    mine = statistics.median(realm(name, digest, cell, 2, args.threads)[0])
    pairs, commands, report = take_pairs(name, digest, file, cell, best, {"realm": mine, "peer": rough[best]}, args)
    wall = time.monotonic() - started
    busy1, ours1 = cpu_seconds()
    foreign = max(0.0, (busy1 - busy0 - (ours1 - ours0)) / wall)
    rates = {side: [statistics.median(p[side]) for p in pairs] for side in ("realm", "peer")}
    spreads = {side: spread(rates[side]) for side in rates}
    shortest = min(sum(tokens_of(cell) / rate for rate in p[side]) for p in pairs for side in p)
    return {
        "model": name, "sha256": digest, "cell": cell,
        "ratio": statistics.median(a / b for a, b in zip(rates["realm"], rates["peer"])),
        "realm": statistics.median(rates["realm"]), "peer": statistics.median(rates["peer"]),
        "pairs": pairs, "peer_settings": {f"repack={r} fa={f}": v for (r, f), v in rough.items()},
        "peer_best": f"repack={best[0]} fa={best[1]}", "foreign_cores": round(foreign, 3),
        "spread": {k: round(v, 3) for k, v in spreads.items()}, "shortest_sample_s": round(shortest, 2),
        "void": foreign > 0.1 or max(spreads.values()) > 1.15 or shortest < args.seconds,
        "commands": {k: shown(v) for k, v in commands.items()},
        "realm_level": report["level"], "realm_levels": report["levels"], "cpu": report["cpu"],
    }


def versions():
    """What ran: Realm with its commit, the peer as it calls itself."""
    git = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return {"realm": f"{call([REALM, 'version']).strip()} {git.stdout.strip()}".strip(),
            "peer": " ".join(call([LLAMA / "llama-bench", "--version"], both=True).split()),
            "peer_package": os.environ.get("LLAMA_PACKAGE", "")}


def has_amx():
    return " amx_tile" in pathlib.Path("/proc/cpuinfo").read_text()


def write(out, started, figure, ran, args, results):
    """After every cell: a run that is broken off keeps what it measured."""
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps({"time": started.isoformat(), "figure": figure, "cpu": results[-1]["cpu"],
                               "amx": has_amx(), "kernel": platform.release(), "versions": ran, "rule": vars(args),
                               "results": results}, indent=1) + "\n")


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
    figure = args.pairs >= 7 and args.seconds >= 5 and args.threads == 2 and not has_amx()
    if not figure:
        print("a look, not a figure: that takes 7 pairs of 5 seconds with 2 threads on a machine without AMX")
    ran = versions()
    results, stayed_void = [], 0
    started = datetime.datetime.now(datetime.timezone.utc)
    out = ROOT / "bench/results" / f"peers-{started:%Y%m%d-%H%M%S}.json"
    print(f"{'model':<20} {'cell':<8} {'Realm':>9} {'llama.cpp':>9} {'ratio':>6}  peer's best setting")
    for name in args.models:
        file = MODELS / f"{name}.gguf"
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        known = {m["name"]: m["sha256"] for m in json.loads(call([REALM, "models", "--json"]))["models"]}
        if known.get(name) != digest:
            sys.exit(f"{name}: the registry's file is not {file}: realm import {file} --name {name}")
        for cell in args.cells.split(","):
            for attempt in range(3):
                row = measure(name, digest, file, cell, args)
                results.append(row)
                write(out, started, figure, ran, args, results)
                note = (f"  void: foreign {row['foreign_cores']}, spread {row['spread']}, shortest "
                        f"{row['shortest_sample_s']} s") if row["void"] else ""
                print(f"{name:<20} {cell:<8} {row['realm']:9.1f} {row['peer']:9.1f} {row['ratio']:6.2f}  "
                      f"{row['peer_best']}{note}", flush=True)
                if not row["void"] or not figure:
                    break
            stayed_void += row["void"]
    print(f"written to {out.relative_to(ROOT)}")
    sys.exit(1 if stayed_void and figure else 0)


if __name__ == "__main__":
    main()
