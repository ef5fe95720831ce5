#!/usr/bin/env python3
"""One good client beside a thousand slow ones: its p99 with them over its p99 alone, in alternating pairs.

usage: bench/load/slow.py [--slow 1000] [--drip 200] [--seconds 15] [--pairs 7] [--chats] NAME

Slow clients read a byte each 100 ms of a reply that never ends (a guest that floods: the engine has no part in it), or
with --chats of ordinary chats; then the good client begins when the engine is done with those. Dripping clients send a
byte of a request's head each 100 ms. The server may cut either, which is reported; they come again. The good client
is a closed loop of one. The figures are the medians over the pairs of with / alone; the bar is 2. A pair is void
when other work took more than 0.1 core. Results: bench/results/slow-*.json"""
import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time

import crowd as crowds
import side as sides

BAR = 2.0
CHAT_TOKENS = 8  # of a slow client's chat: with its events around it, minutes of reading
FIGURES = (("whole_ms", "p99"), ("gap_ms", "p99"), ("first_ms", "p99"), ("whole_ms", "p50"))
FILES = 256


class Slow:
    """realm-load with slow clients alone, as long as the `with` lasts; `report` is theirs afterwards."""

    def __init__(self, side, program, args):
        ask = {"model": side.model if args.chats else program, "max_tokens": CHAT_TOKENS,
               "messages": [{"role": "user", "content": "Why is the sky blue?"}]}
        self.bodies = tempfile.NamedTemporaryFile("w", suffix=".jsonl")
        self.bodies.write(json.dumps(ask) + "\n")
        self.bodies.flush()
        self.command = [sides.LOAD, sides.url_of(side), "-c", 0, "--slow", args.slow, "--slow-ms", args.slow_ms,
                        "-d", 1000000, "--timeout", 1000000, "--bodies", self.bodies.name, "--json"]

    def __enter__(self):
        self.run = subprocess.Popen([str(c) for c in self.command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                    text=True)
        return self

    def __exit__(self, *_):
        self.run.send_signal(signal.SIGINT)
        out = self.run.communicate()[0]
        if not out.startswith("{"):
            sys.exit(f"{sides.shown(self.command)}\n{out}")
        self.report = json.loads(out)["slow"]
        self.bodies.close()


def is_quiet(side, args):
    """All slow clients are in, and their replies wait for them: the engine has nothing to do."""
    seen = sides.metrics(side)
    return (seen["realm_http_connections"] >= 0.95 * (args.slow + args.drip) and
            seen["realm_sequences_running"] + seen["realm_sequences_waiting"] == 0 and
            (args.chats or seen["realm_guests_parked"] >= 0.95 * args.slow))


def is_alone(side):
    seen = sides.metrics(side)
    return seen["realm_guests_live"] == 0 and seen["realm_requests_under_way"] == 0


def good(side, pid, args, *others):
    """The good client's report; others: processes whose CPU is not foreign."""
    meter = sides.Meter(pid, *others)
    report, _ = sides.load(side, pid, args, "-c", 1, "-d", args.seconds)
    report["foreign_cores"] = meter.foreign()
    sides.check(report, args)
    return report


def beside(side, port, pid, program, args):
    """-> the good client's report beside slow ones, theirs"""
    with contextlib.ExitStack() as stack:
        slow = stack.enter_context(Slow(side, program, args))
        drips = stack.enter_context(crowds.Drips(port, args.drip, args.slow_ms)) if args.drip else None
        sides.until("the slow clients are in", lambda: is_quiet(side, args), args.patience)
        time.sleep(args.settle)
        report = good(side, pid, args, slow.run.pid)
        seen = sides.metrics(side)
    sides.until("the slow clients are gone", lambda: is_alone(side), args.patience)
    return report, {"slow": slow.report, "drip": drips.report() if drips else None,
                    "connections": int(seen["realm_http_connections"])}


def show(at, which, r, crowd):
    notes = ""
    if crowd:
        drip = crowd["drip"]["ends"] if crowd["drip"] else {}
        notes = f"{crowd['connections']} connections; slow ended {crowd['slow']['ended']} {crowd['slow']['reasons']}, drips {drip}"
    print(f"{at:>4} {which:<6} {r['whole_ms']['n']:>5} {r['whole_ms']['p50']:>9.1f} {r['whole_ms']['p99']:>9.1f} "
          f"{r['first_ms']['p99']:>9.1f} {r['gap_ms']['p50']:>8.2f} {r['gap_ms']['p99']:>8.2f} {r['foreign_cores']:>7.2f}  "
          f"{notes}", flush=True)


def measure(side, port, pid, program, args):
    """-> the pairs"""
    rows = []
    sides.warm(side, pid, args)
    for at in range(args.pairs):
        row = {}
        for which in ("alone", "with")[:: 1 if at % 2 else -1]:
            if which == "alone":
                row[which] = good(side, pid, args)
            else:
                row[which], row["crowd"] = beside(side, port, pid, program, args)
            show(at + 1, which, row[which], row["crowd"] if which == "with" else None)
        row["ratio"] = {f"{what}_{part}": row["with"][what][part] / row["alone"][what][part] for what, part in FIGURES}
        row["void"] = max(row[w]["foreign_cores"] for w in ("alone", "with")) > sides.FOREIGN_MOST
        rows.append(row)
    return rows


def main():
    parser = sides.parser(__doc__, prompt_tokens=48, max_tokens=32)
    parser.add_argument("--slow", type=int, default=1000, help="clients that read a byte at a time")
    parser.add_argument("--drip", type=int, default=200, help="clients that send a byte at a time")
    parser.add_argument("--slow-ms", type=int, default=100, help="between two bytes")
    parser.add_argument("--chats", action="store_true", help="slow clients read chats of the model")
    parser.add_argument("--seconds", type=float, default=15, help="of the good client, each time")
    parser.add_argument("--settle", type=float, default=2, help="seconds after the slow clients are in")
    parser.add_argument("--pairs", type=int, default=7)
    args = parser.parse_args()
    most = args.slow + args.drip + FILES
    sides.allow_files(most)
    results = sides.Results("slow", args, sides.digests([args.name]))
    port = sides.free_port()
    side = sides.realm(args.name, port, args, "--max-connections", most, "--max-connections-per-ip", most)
    print(f"{'pair':>4} {'':<6} {'n':>5} {'whole p50':>9} {'p99':>9} {'ttft p99':>9} {'gap p50':>8} {'p99':>8} {'foreign':>7}")
    with sides.Program("flood") as program, sides.Running(side, args.patience) as pid:
        rows = measure(side, port, pid, program, args)
    counted = [r for r in rows if not r["void"]] or rows
    figures = {key: sides.median(counted, "ratio", key) for key in rows[0]["ratio"]}
    spreads = {which: sides.spread([r[which]["whole_ms"]["p99"] for r in counted]) for which in ("alone", "with")}
    results.write(server_command=sides.shown(side.command), figures=figures, spread=spreads,
                  void=sum(r["void"] for r in rows), results=rows)
    print(f"with / alone, medians of {len(counted)} pairs ({sum(r['void'] for r in rows)} void): " +
          ", ".join(f"{k.replace('_ms_', ' ')} {v:.2f}" for k, v in figures.items()) + f" (bar {BAR:g} for p99)")
    results.told()


if __name__ == "__main__":
    main()
