#!/usr/bin/env python3
"""What the sandbox costs: CPU of guests over CPU of the engine, while 64 streams chat through the built-in guest.

usage: bench/load/guest.py [--clients 64] [--max-tokens 128] [--pairs 7] NAME

Each repetition is a closed loop of so many streams, one request each; before and after, the CPU clocks of the
server's threads are read, which are told apart by their names. Engine: its thread and its compute threads (their short
waits included). Guest: workers, which run guests and their host calls, and helpers, which load models and render
templates for them. Beside them stand the http thread and what is left (intake, ticker, log). The bar: guest / engine at most 1 %. The runtime's own count of
guests' CPU is shown too: it leaves out how workers sleep and wake. Results: bench/results/guest-*.json"""
import os
import pathlib
import sys

import side as sides

BAR = 0.01
GROUPS = ("engine", "guest", "http", "others")
NAMES = {"realm-engine": "engine", "realm-work": "engine", "realm-guest": "guest", "realm-helper": "guest",
         "realm-http": "http"}  # without the number that those of many have


def clock(task):
    """CPU seconds of a thread, to the nanosecond where the kernel counts so."""
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9
    except OSError:
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / sides.TICK


def threads(pid):
    """-> rows of (name, CPU seconds)"""
    tasks = [pathlib.Path(f"/proc/{pid}/task/{tid}") for tid in os.listdir(f"/proc/{pid}/task")]
    return [((task / "comm").read_text().strip(), clock(task)) for task in tasks]


def group(name):
    return NAMES.get(name.rstrip("0123456789").rstrip("-"), "others")


def clocks(pid, args):
    """-> CPU seconds by group. Ends when the threads are not those that were expected."""
    out, counts = dict.fromkeys(GROUPS, 0.0), dict.fromkeys(GROUPS, 0)
    for name, seconds in threads(pid):
        out[group(name)] += seconds
        counts[group(name)] += 1
    if counts["engine"] != args.threads or counts["http"] != 1 or not counts["guest"]:
        sys.exit(f"threads by group: {counts}; the engine was to have {args.threads}")
    return out


def repeat(side, pid, args):
    """One closed loop. -> CPU seconds by group, tokens, the runtime's and the engine's own counts"""
    seen, before, meter = sides.metrics(side), clocks(pid, args), sides.Meter(pid)
    report, command = sides.drive(side, pid, args.clients, args)
    after, now = clocks(pid, args), sides.metrics(side)
    sides.check(report, args)
    cpu = {g: after[g] - before[g] for g in GROUPS}
    return {"cpu_s": cpu, "tokens": report["tokens"], "prompt_tokens": report["prompt"]["tokens"],
            "ratio": cpu["guest"] / cpu["engine"], "serving": (sum(cpu.values()) - cpu["engine"]) / cpu["engine"],
            "runtime_s": now["realm_guest_cpu_seconds_total"] - seen["realm_guest_cpu_seconds_total"],
            "busy_s": now["realm_engine_busy_seconds_total"] - seen["realm_engine_busy_seconds_total"],
            "foreign_cores": meter.foreign(), "report": report, "load_command": sides.shown(command)}


def show(at, r):
    each = " ".join(f"{1e6 * r['cpu_s'][g] / r['tokens']:>9.2f}" for g in GROUPS)
    print(f"{at:>3} {r['tokens']:>7} {each} {1e6 * r['runtime_s'] / r['tokens']:>9.2f} {100 * r['ratio']:>8.3f} "
          f"{100 * r['serving']:>8.3f} {r['foreign_cores']:>7.2f}", flush=True)


def main():
    parser = sides.parser(__doc__, prompt_tokens=48, max_tokens=128)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=7, help="repetitions")
    parser.set_defaults(least=1, rounds=1)
    args = parser.parse_args()
    results = sides.Results("guest", args, sides.digests([args.name]))
    side = sides.realm(args.name, sides.free_port(), args)
    rows = []
    print(f"{'':>3} {'':>7} {'CPU us a token':<39} {'runtime':>9} {'guest /':>8} {'all but':>8}")
    print(f"{'':>3} {'tokens':>7} {' '.join(f'{g:>9}' for g in GROUPS)} {'says':>9} {'engine %':>8} {'engine %':>8} {'foreign':>7}")
    with sides.Running(side, args.patience) as pid:
        sides.drive(side, pid, args.clients, args)  # the model is loaded, guests' memory is warm
        for at in range(args.pairs):
            rows.append(repeat(side, pid, args))
            show(at + 1, rows[-1])
    for row in rows:
        row["void"] = row["foreign_cores"] > sides.FOREIGN_MOST
    counted = [r for r in rows if not r["void"]] or rows
    figures = {"ratio": sides.median(counted, "ratio"), "serving": sides.median(counted, "serving"),
               "spread": sides.spread([r["ratio"] for r in counted]), "void": sum(r["void"] for r in rows)}
    results.write(server_command=sides.shown(side.command), figures=figures, results=rows)
    print(f"guest / engine {100 * figures['ratio']:.3f} % of CPU (bar {100 * BAR:g} %), all of serving "
          f"{100 * figures['serving']:.3f} %; medians of {len(counted)}, {figures['void']} void")
    results.told()


if __name__ == "__main__":
    main()
