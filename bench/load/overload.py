#!/usr/bin/env python3
"""Ten times what it can do: goodput under overload over the best goodput, and how fast it says no.

usage: bench/load/overload.py [--factor 10] [--seconds 60] [--pairs 3] [--admit 1] NAME

A stream is good when it ended within 4 times what a stream takes alone (median of a closed loop of one). The best
goodput is looked for over closed loops of more and more clients, on a server that refuses nothing. Then, in pairs: the
best closed loop on that server again, and an open loop (Poisson) at 10 times its rate on a second one, which runs with
--max-latency-ms of that limit times --admit, when it has that setting (--admit 0: without); the one that is not asked
is idle. Goodput under overload is good streams over the time from the first arrival to when the last could still be
good. Bars: 90 % of the best goodput; rejects within 50 ms, each with Retry-After. Results:
bench/results/overload-*.json"""
import contextlib
import math

import side as sides

BAR_SHARE, BAR_REJECT_MS = 0.9, 50.0
SETTING = "--max-latency-ms"
FILES = 256


def ask(side, pid, args, solo, *words):
    report, command = sides.load(side, pid, args, "--goodput-factor", args.good_factor, "--solo-ms", f"{solo:.3f}", *words)
    report["command"] = sides.shown(command)
    return report


def show(what, per_s, r):
    rejects = r["rejects"]["ms"]
    tail = f"{rejects['p50']:8.2f} {rejects['p99']:8.2f} {rejects['max']:8.2f}" if rejects["n"] else f"{'':26}"
    first = r["first_ms"]
    times = f"{first['p50']:9.1f} {first['p99']:9.1f} {r['whole_ms']['p99']:9.1f}" if first["n"] else f"{'':29}"
    print(f"{what:<16} {r['started']:>7} {r['ok']:>6} {r['goodput']['good']:>6} {r['rejected']:>7} {r['failed']:>6} "
          f"{per_s:>8.2f} {times} {tail}  {r['reasons'] if r['failed'] else ''}", flush=True)
    for warning in r["warnings"]:
        print(f"    {warning}", flush=True)


def search(side, pid, args, solo):
    """-> rows of closed loops"""
    rows = []
    for clients in args.clients:
        report = ask(side, pid, args, solo, "-c", clients, "-d", args.search_seconds)
        show(f"closed {clients}", report["goodput"]["per_s"], report)
        rows.append({"clients": clients, "per_s": report["goodput"]["per_s"], "report": report})
    return rows


def is_empty(side):
    seen = sides.metrics(side)
    return seen["realm_requests_under_way"] == 0 and seen["realm_sequences_running"] + seen["realm_sequences_waiting"] == 0


def pair(plain, limited, args, solo, clients):
    """plain, limited: (side, pid). The best closed loop on the one, then the open one at so many times its rate on the
    other."""
    for side, _ in (plain, limited):
        sides.until("nothing is under way", lambda side=side: is_empty(side), args.patience)
    meter = sides.Meter(plain[1], limited[1])
    closed = ask(*plain, args, solo, "-c", clients, "-d", args.closed_seconds)
    peak = closed["goodput"]["per_s"]
    show(f"closed {clients}", peak, closed)
    rate = max(args.factor * peak, 0.1)
    report = ask(*limited, args, solo, "--rate", f"{rate:.4f}", "-d", args.seconds, "--max-clients", args.max_clients,
                 "--timeout", args.timeout)
    report["foreign_cores"] = meter.foreign()
    per_s = report["goodput"]["good"] / (args.seconds + args.good_factor * solo / 1000)
    show(f"open {rate:.1f}/s", per_s, report)
    return {"closed": closed, "peak_per_s": peak, "rate": rate, "open": report, "per_s": per_s,
            "share": per_s / peak if peak else 0.0, "void": report["foreign_cores"] > sides.FOREIGN_MOST}


def serving(args, *words):
    """A server whose limits are not those that are measured."""
    most = args.max_clients + FILES
    return sides.realm(args.name, sides.free_port(), args, "--max-connections", most, "--max-connections-per-ip", most, *words)


def has_setting():
    return SETTING in sides.call(sides.REALM, "serve", "--help")


def peak_of(plain, args):
    """plain: (side, pid). -> solo ms, the rows of the search, the clients of the best"""
    sides.warm(*plain, args)
    alone, _ = sides.load(*plain, args, "-c", 1, "-n", args.solo_requests)
    sides.check(alone, args)
    solo = alone["whole_ms"]["p50"]
    print(f"alone {solo:.1f} ms: good within {args.good_factor * solo:.1f} ms")
    found = search(*plain, args, solo)
    return solo, found, max(found, key=lambda row: row["per_s"])["clients"]


def measure(args):
    """-> solo ms, the search, the pairs, the command of the server that was overloaded"""
    plain = serving(args)
    with contextlib.ExitStack() as stack:
        plain = (plain, stack.enter_context(sides.Running(plain, args.patience)))
        solo, found, best = peak_of(plain, args)
        words = [SETTING, math.ceil(args.good_factor * solo * args.admit)] if args.admit and has_setting() else []
        print(f"admission: {' '.join(map(str, words)) or 'none'}")
        side = serving(args, *words)
        limited = (side, stack.enter_context(sides.Running(side, args.patience)))
        sides.load(*limited, args, "-c", best, "-d", args.search_seconds)
        pairs = [pair(plain, limited, args, solo, best) for _ in range(args.pairs)]
    return solo, found, pairs, sides.shown(side.command)


def summary(solo, found, pairs, args):
    counted = [p for p in pairs if not p["void"]] or pairs
    rejects = [p["open"]["rejects"] for p in counted]
    times = {at: max((r["ms"][at] for r in rejects if r["ms"]["n"]), default=None) for at in ("p50", "p99", "max")}
    return {"solo_ms": solo, "limit_ms": args.good_factor * solo, "searched_per_s": {r["clients"]: r["per_s"] for r in found},
            "share": sides.median(counted, "share"),
            "rejected": sides.median([{"share": p["open"]["rejected"] / max(p["open"]["started"], 1)} for p in counted], "share"),
            "failed": sum(p["open"]["failed"] for p in counted), "void": sum(p["void"] for p in pairs),
            "without_retry_after": sum(r["no_retry_after"] for r in rejects), "reject_ms": times}


def main():
    parser = sides.parser(__doc__, prompt_tokens=48, max_tokens=32)
    parser.add_argument("--clients", type=sides.numbers, default=[1, 2, 4, 6, 8, 10, 12, 14, 16, 24, 32, 64],
                        help="of the search")
    parser.add_argument("--search-seconds", type=float, default=10, help="of each closed loop of the search")
    parser.add_argument("--closed-seconds", type=float, default=30, help="of the closed loop of a pair")
    parser.add_argument("--solo-requests", type=int, default=20)
    parser.add_argument("--good-factor", type=float, default=4, help="a stream is good within so many times the time alone")
    parser.add_argument("--factor", type=float, default=10, help="arrivals, in best goodputs")
    parser.add_argument("--seconds", type=float, default=60, help="of the open loop")
    parser.add_argument("--timeout", type=float, default=60, help="seconds after which a client of the open loop gives up")
    parser.add_argument("--max-clients", type=int, default=12000, help="of the open loop, at once")
    parser.add_argument("--admit", type=float, default=1.0, help="the server's limit of latency, in ours; 0: none")
    parser.add_argument("--pairs", type=int, default=3)
    args = parser.parse_args()
    sides.allow_files(args.max_clients + FILES)
    results = sides.Results("overload", args, sides.digests([args.name]))
    print(f"{'loop':<16} {'sent':>7} {'ok':>6} {'good':>6} {'reject':>7} {'fail':>6} {'good/s':>8} {'ttft p50':>9} {'p99':>9} "
          f"{'whole p99':>9} {'no p50':>8} {'p99':>8} {'max':>8}")
    solo, found, pairs, command = measure(args)
    f = summary(solo, found, pairs, args)
    results.write(server_command=command, figures=f, search=found, results=pairs)
    ms = f["reject_ms"]
    told = f"p50 {ms['p50']:.2f} p99 {ms['p99']:.2f} max {ms['max']:.2f} ms" if ms["max"] is not None else "none"
    print(f"goodput at {args.factor:g} x: {100 * f['share']:.1f} % of the best (bar {100 * BAR_SHARE:.0f} %); rejected "
          f"{100 * f['rejected']:.1f} %, {told} (bar {BAR_REJECT_MS:g} ms), {f['without_retry_after']} without Retry-After; "
          f"{f['failed']} failed; {f['void']} pairs void")
    results.told()


if __name__ == "__main__":
    main()
