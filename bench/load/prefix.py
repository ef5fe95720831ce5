#!/usr/bin/env python3
"""What prompts that begin alike cost: 16 equal ones at once, and one whose beginning is known.

usage: [LLAMA_BIN=FOLDER] bench/load/prefix.py [--clients 16] [--equal 230] [--known 1000] [--pairs 7] NAME [MODEL.gguf]

Prompts are ids drawn from the seed, new ones for every run, so nothing is known from before. Equal: so many clients ask
the same at the same time; beside a server with --prefix-cache off and, with LLAMA_BIN and the model's file, beside
llama-server with its own cache. Known: a prompt, then the same with another tail of 16 ids. The figures are the medians
over the pairs of the ratios of median times to the first token, and prompt tokens that were computed, which are counts.
Bars: computed at most --equal + 16 x 32; 5 times sooner than without the cache, 8 times sooner than llama-server; the
second of two 5 times sooner than the first. Results: bench/results/prefix-*.json"""
import contextlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import peer
import side as sides

BLOCK, TAIL = 32, 16  # tokens of a KV block, of what differs
BAR_OFF, BAR_PEER, BAR_KNOWN = 5.0, 8.0, 5.0
LEAST_ID, MOST_ID = 1000, 30000  # text, not control tokens


def ask(side, ids, clients, args):
    """So many clients send these ids at once. -> realm-load's report"""
    body = {"prompt": ids, "max_tokens": args.max_tokens, "temperature": 0, "ignore_eos": True}
    if side.model:
        body["model"] = side.model
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as bodies:
        bodies.write(json.dumps(body) + "\n")
        bodies.flush()
        command = [sides.LOAD, sides.url_of(side), "-c", clients, "-n", clients, "--completions", "--bodies", bodies.name,
                   "--json"]
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    report = json.loads(done.stdout) if done.stdout.startswith("{") else None
    if not report or report["ok"] != clients:
        sys.exit(f"{sides.shown(command)}\n{report and report['why']}{done.stderr}")
    return report


def computed(side):
    seen = sides.metrics(side)
    return seen["realm_prompt_tokens_total"] - seen["realm_prompt_tokens_cached_total"]


def equal(on, off, theirs, rng, at, args):
    """Each side in turn. -> first-token medians in ms by side, tokens that Realm computed"""
    ids = [rng.randint(LEAST_ID, MOST_ID) for _ in range(args.equal)]
    row = {"first_ms": {}}
    order = [s for s in (on, off, theirs) if s]
    for side in order if at % 2 else order[::-1]:
        before = computed(side) if side is on else 0
        report = ask(side, ids, args.clients, args)
        row["first_ms"][side.setting or side.name] = report["first_ms"]["p50"]
        if side is on:
            row["computed"] = computed(side) - before
    return row


def known(side, rng, args):
    """-> the first token's ms of a prompt, of one that begins like it, and what each computed"""
    ids = [rng.randint(LEAST_ID, MOST_ID) for _ in range(args.known)]
    out = []
    for _ in range(2):
        before = computed(side)
        tail = [rng.randint(LEAST_ID, MOST_ID) for _ in range(TAIL)]
        first = ask(side, ids + tail, 1, args)["first_ms"]["p50"]
        out.append({"first_ms": first, "computed": computed(side) - before})
    return {"first": out[0], "second": out[1]}


def realm(args, cache):
    return sides.realm(args.name, sides.free_port(), args, "--prefix-cache", cache)._replace(setting=f"cache {cache}")


def llama(args):
    args.slots = args.clients
    side = peer.llama_server(args.file, "repack=on fa=on", sides.free_port(), args)
    return side._replace(setting="llama-server")


def measure(args):
    """-> rows of both scenes"""
    on, off = realm(args, "on"), realm(args, "off")
    theirs = llama(args) if args.file else None
    rng = random.Random(args.seed)
    rows = []
    with contextlib.ExitStack() as stack:
        for side in filter(None, (on, off, theirs)):
            stack.enter_context(sides.Running(side, args.patience))
            ask(side, [LEAST_ID] * BLOCK, 1, args)  # the model is loaded with the first request
        for at in range(args.pairs):
            rows.append({"equal": equal(on, off, theirs, rng, at, args), "known": known(on, rng, args)})
            show(at + 1, rows[-1])
    return rows


def show(at, row):
    first = "  ".join(f"{which} {ms:8.1f}" for which, ms in sorted(row["equal"]["first_ms"].items()))
    k = row["known"]
    print(f"{at:>2}  equal: {first} ms, computed {row['equal']['computed']:.0f}   known: {k['first']['first_ms']:.1f} -> "
          f"{k['second']['first_ms']:.1f} ms, computed {k['first']['computed']:.0f} -> {k['second']['computed']:.0f}", flush=True)


def ratio(rows, which):
    """Median of that side's first token over ours, NaN where it did not run."""
    return sides.median([{"r": r["equal"]["first_ms"].get(which, float("nan")) / r["equal"]["first_ms"]["cache on"]}
                         for r in rows], "r")


def main():
    parser = sides.parser(__doc__, prompt_tokens=0, max_tokens=4)
    parser.add_argument("file", nargs="?", type=pathlib.Path, help="the model's GGUF file, for llama-server")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--equal", type=int, default=230, help="tokens of the equal prompts")
    parser.add_argument("--known", type=int, default=1000, help="tokens that two prompts have in common")
    parser.add_argument("--pairs", type=int, default=7)
    args = parser.parse_args()
    if args.file and not os.environ.get("LLAMA_BIN"):
        parser.error("LLAMA_BIN names the folder of llama-server")
    results = sides.Results("prefix", args, sides.digests([args.name]))
    results.head["rule"]["file"] = args.file and args.file.name
    rows = measure(args)
    figures = {"off": ratio(rows, "cache off"), "peer": ratio(rows, "llama-server"),
               "known": sides.median([{"r": r["known"]["first"]["first_ms"] / r["known"]["second"]["first_ms"]} for r in rows], "r"),
               "computed_most": max(r["equal"]["computed"] for r in rows),
               "computed_bar": args.equal + args.clients * BLOCK}
    results.write(figures=figures, results=rows)
    print(f"equal: computed at most {figures['computed_most']:.0f} (bar {figures['computed_bar']}); first token "
          f"{figures['off']:.1f} times sooner than without the cache (bar {BAR_OFF:g}), {figures['peer']:.1f} than "
          f"llama-server (bar {BAR_PEER:g}); known: {figures['known']:.1f} times sooner (bar {BAR_KNOWN:g})")
    results.told()


if __name__ == "__main__":
    main()
