#!/usr/bin/env python3
"""Realm's server beside llama-server under the same load, both up, in alternating pairs.

usage: LLAMA_BIN=FOLDER bench/load/peer.py [--clients 1,4,16,64] [--pairs 7] MODEL.gguf...

For each number of clients llama-server's settings (repack on and off, flash attention on and off) are tried
once, and its best one is paired with Realm, in alternating order. Prompts are distinct, 238 tokens, 64 tokens are
generated, temperature 0. Figures are the medians over the pairs of the ratios of tokens per second (higher is
better) and of the median times to the first token (lower is better). Realm serves the model of its registry that has the file's
name. The bench ends when answers failed or tokens were not what was asked for: shorter streams, a usage that
cannot be. Everything goes to bench/results/load-*.json, which names files but no folders."""
import argparse
import hashlib
import os
import pathlib
import statistics

import side as sides
from side import Running, Side

LLAMA = pathlib.Path(os.environ.get("LLAMA_BIN", "."))
SLOT_TOKENS = 512  # context of one stream: prompt, answer and a margin
SETTINGS = {f"repack={'on' if repack else 'off'} fa={fa}": (repack, fa) for repack in (True, False) for fa in ("on", "off")}


def llama_server(file, setting, port, args):
    repack, fa = SETTINGS[setting]
    command = [LLAMA / "llama-server", "-m", file, "--host", "127.0.0.1", "--port", port, "-np", args.slots,
               "-c", args.slots * SLOT_TOKENS, "-b", 2048, "-ub", 512, "-t", args.threads, "-tb", args.threads,
               "-fa", fa, "--cache-ram", 0, "--log-disable"]
    command += [] if repack else ["--no-repack"]
    return Side("llama-server", setting, command, f"http://127.0.0.1:{port}/health", {"LD_LIBRARY_PATH": str(LLAMA)},
                {"cache_prompt": False}, None)


def show(name, model, setting, clients, r):
    server = r.get("server", {})
    print(f"{name:<13} {model:<20} {setting:<18} {clients:>4} {r['tokens_per_s']:>9.1f} {r['first_ms']['p50']:>9.1f} "
          f"{r['first_ms']['p99']:>9.1f} {r['gap_ms']['p50']:>8.2f} {r['gap_ms']['p99']:>8.2f} "
          f"{r['whole_ms']['p50']:>9.1f} {server.get('tokens_per_cpu_s', 0):>8.1f} {server.get('foreign_cores', 0):>7.2f} "
          f"{r['client']['cpu_us_per_event']:>7.1f}", flush=True)


def measure(side, pid, model, clients, args):
    report, command = sides.drive(side, pid, clients, args)
    sides.check(report, args)
    show(side.name, model, side.setting, clients, report)
    return {"side": side.name, "model": model, "setting": side.setting, "clients": clients, "report": report,
            "server_command": sides.shown(side.command), "load_command": sides.shown(command)}


def best_setting(file, clients, args, rows):
    """llama-server's, by one run each."""
    for setting in SETTINGS:
        side = llama_server(file, setting, sides.free_port(), args)
        with Running(side, args.patience) as pid:
            rows.append({**measure(side, pid, file.stem, clients, args), "trial": True})
    return max(rows[-len(SETTINGS):], key=lambda r: r["report"]["tokens_per_s"])["setting"]


def is_void(pair):
    return any(row["report"]["server"]["foreign_cores"] > sides.FOREIGN_MOST for row in pair)


def ratios(pairs):
    """-> medians of Realm / peer: tokens per second, median time to the first token"""
    return [statistics.median(mine["report"][what][part] / theirs["report"][what][part] if part else
                              mine["report"][what] / theirs["report"][what] for mine, theirs in pairs)
            for what, part in (("tokens_per_s", None), ("first_ms", "p50"))]


def figures_of(pairs):
    """The pairs beside which nothing else ran; the spread is the larger of the two sides'."""
    counted = [pair for pair in pairs if not is_void(pair)] or pairs
    speed, first = ratios(counted)
    spread = max(sides.spread([row["report"]["tokens_per_s"] for row in rows]) for rows in zip(*counted))
    return {"tokens_per_s": speed, "first_ms": first, "pairs": len(counted), "void": len(pairs) - len(counted), "spread": spread}


def compare(file, clients, args, rows):
    """-> one line of the summary"""
    setting = args.setting or best_setting(file, clients, args, rows)
    mine = sides.realm(file.stem, sides.free_port(), args)
    theirs = llama_server(file, setting, sides.free_port(), args)
    pairs = []
    with Running(mine, args.patience) as my_pid, Running(theirs, args.patience) as their_pid:
        for at in range(args.pairs):
            order = [(mine, my_pid), (theirs, their_pid)]
            done = {side.name: measure(side, pid, file.stem, clients, args) for side, pid in (order if at % 2 else order[::-1])}
            pairs.append((done["realm"], done["llama-server"]))
            rows.extend(pairs[-1])
    return {"model": file.stem, "clients": clients, "setting": setting, **figures_of(pairs)}


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", type=pathlib.Path, help="GGUF files")
    parser.add_argument("--clients", type=sides.numbers, default=[1, 4, 16, 64])
    parser.add_argument("--setting", choices=list(SETTINGS), help="llama-server's, instead of trying all")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--completions", action="store_true", help="/v1/completions: for models without a chat template")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--slots", type=int, help="streams that the server has room for (default: the most clients)")
    parser.add_argument("--rounds", type=int, default=4, help="requests of each client")
    parser.add_argument("--least", type=int, default=8, help="requests of a run at least")
    parser.add_argument("--prompt-tokens", type=int, default=238)
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=120, help="seconds for a server to become ready")
    args = parser.parse_args()
    args.slots = args.slots or max(args.clients)
    return args


def main():
    args = arguments()
    results = sides.Results("load", args, {f.stem: hashlib.sha256(f.read_bytes()).hexdigest() for f in args.models})
    rows, figures = [], []
    print(f"{'side':<13} {'model':<20} {'setting':<18} {'n':>4} {'tokens/s':>9} {'ttft p50':>9} {'p99':>9} "
          f"{'gap p50':>8} {'p99':>8} {'whole p50':>9} {'tok/CPUs':>8} {'foreign':>7} {'us/ev':>7}")
    for file in args.models:
        for clients in args.clients:
            figures.append(compare(file, clients, args, rows))
            results.write(figures=figures, results=rows)
    for f in figures:
        print(f"{f['model']:<20} {f['clients']:>4} clients: tokens/s {f['tokens_per_s']:.2f} x, "
              f"first token {f['first_ms']:.2f} x of llama-server ({f['setting']}); {f['pairs']} pairs, {f['void']} void, "
              f"spread {f['spread']:.2f}")
    results.told()


if __name__ == "__main__":
    main()
