#!/usr/bin/env python3
"""What serving costs: tokens per CPU second of `realm serve` beside the engine alone, in alternating pairs.

usage: bench/load/overhead.py [--clients 64] [--max-tokens 128] [--pairs 7] NAME...

The engine's side is `realm bench` in the same width: prompt and generated tokens per second of all its threads,
which it keeps busy. Serving's side is a closed loop of so many streams; from the CPU seconds of the whole machine
the client's are taken away. The figure is the time that the engine needs for what was served (prompts and tokens)
over what serving took: 1.00 means that HTTP, JSON and guests cost nothing. Results: bench/results/overhead-*.json"""
import argparse
import json
import statistics

import side as sides


def bench(name, args):
    """-> tokens per second of prompts, of generating in so many streams"""
    report = json.loads(sides.call(sides.REALM, "bench", name, "-p", "512", "-n", "0", "-b", args.clients,
                                   "-t", args.threads, "--json"))
    rates = {r["test"]: r["tokens_per_second"] for r in report["results"]}
    return rates["pp512"], rates[f"tg64x{args.clients}"]


def served(side, pid, args):
    """-> CPU seconds of the machine less the client's, prompt tokens, generated tokens"""
    report, _ = sides.drive(side, pid, args.clients, args)
    sides.check(report, args)
    prompts = report["prompt"]["tokens"]
    return report["machine"]["busy_s"] - report["client"]["cpu_s"], prompts, report["tokens"]


def measure(name, args):
    side = sides.realm(name, sides.free_port(), args)
    rows = []
    with sides.Running(side, 120) as pid:
        served(side, pid, args)  # the model is loaded with the first request
        for at in range(args.pairs):
            first = bench(name, args) if at % 2 else None
            cpu, prompts, tokens = served(side, pid, args)
            pp, tg = first or bench(name, args)
            ratio = args.threads * (prompts / pp + tokens / tg) / cpu
            rows.append({"cpu_s": cpu, "prompt_tokens": prompts, "tokens": tokens, "bench_pp": pp, "bench_tg": tg, "ratio": ratio})
            print(f"{name:<20} {args.clients:>3} streams: {cpu:6.2f} CPU s for {prompts} + {tokens} tokens, "
                  f"bench {pp:.0f} and {tg:.0f} t/s: {ratio:.3f}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="+", help="names of the registry")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--prompt-tokens", type=int, default=48)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--completions", action="store_true", help="/v1/completions: for models without a chat template")
    parser.set_defaults(least=1, rounds=1, seed=1)
    args = parser.parse_args()
    results = sides.Results("overhead", args, sides.digests(args.models))
    rows = {name: measure(name, args) for name in args.models}
    for name in rows:
        print(f"{name}: median {statistics.median(r['ratio'] for r in rows[name]):.3f}")
    results.write(results=rows)
    results.told()


if __name__ == "__main__":
    main()
