#!/usr/bin/env python3
"""Thousands that wait: open streams that hear nothing, and guests parked in a host call, beside a normal chat.

usage: bench/load/hold.py [--idle 2000] [--parked 5000] [--hold 60] [--rounds 2] NAME

In each round so many streams are opened whose guest has said one word, then so many requests for a whole answer whose
guest has not answered yet; all of them sleep in a host call until one moment, then end with a last word. Before, with
the streams, with all, and after, a closed loop of one client chats with model NAME. A stream or answer that is not
complete and as it must be is a failure, and so is a chat's; the exit code is 1 then. Memory is the server's, from
/proc (the sockets' own is the kernel's). Memory per guest is kept for the next one, so the second round shows whether
it grows. Results: bench/results/hold-*.json"""
import collections
import os
import pathlib
import sys
import time

import crowd as crowds
import side as sides

FILES = 256  # of the server and of this program, beside the connections
COUNTS = {"connections": "realm_http_connections", "guests": "realm_guests_live", "parked": "realm_guests_parked",
          "kv_blocks": "realm_kv_blocks_used", "answers": "realm_requests_under_way"}


def memory(pid):
    """Of the server: bytes resident, its share of them, mappings, open files."""
    rows = dict(line.split()[:2] for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    with open(f"/proc/{pid}/maps") as maps:
        return {"rss": int(rows["Rss:"]) * 1024, "pss": int(rows["Pss:"]) * 1024, "anonymous": int(rows["Anonymous:"]) * 1024,
                "maps": sum(1 for _ in maps), "files": len(os.listdir(f"/proc/{pid}/fd"))}


def look(stage, side, pid, args):
    """What there is, and how a chat goes beside it."""
    seen = sides.metrics(side)
    row = {"stage": stage, **memory(pid), **{k: int(seen[name]) for k, name in COUNTS.items()}}
    row["chat"], _ = sides.load(side, pid, args, "-c", 1, "-n", args.chats)
    chat = row["chat"]
    times = [f"{chat[what].get(at, 0):9.2f}" for what, at in (("first_ms", "p50"), ("first_ms", "max"), ("gap_ms", "p99"))]
    print(f"{stage:<18} {row['rss'] / 2**20:8.1f} {row['pss'] / 2**20:8.1f} {row['maps']:7} {row['files']:6} "
          f"{row['connections']:6} {row['guests']:6} {row['parked']:6} {row['kv_blocks']:6} {' '.join(times)} "
          f"{chat['ok']:>4}/{chat['started']}", flush=True)
    return row


def question(program, stream, until_ms):
    return {"model": program, "stream": stream, "messages": [{"role": "user", "content": f"until {until_ms} "}]}


def outcome(link, stream):
    """"complete", or what it was instead"""
    if link.status() != 200:
        return str(link.status() or link.why or "no answer")
    whole = all(part in link.got for part in ((b"here", b" and gone", b"[DONE]") if stream else (b"here and gone",)))
    return "complete" if whole and link.over and not link.why else "cut"


def is_gone(side, before):
    seen = sides.metrics(side)
    return seen["realm_guests_live"] == 0 and seen["realm_http_connections"] <= before["connections"]


def one_round(number, program, side, port, pid, before, args):
    """-> rows of its stages, how all ended"""
    until_ms = int((time.time() + args.hold) * 1000)
    with crowds.Crowd(port) as crowd:
        streams = crowd.ask(args.idle, question(program, True, until_ms))
        crowd.until("the first word of every stream", lambda: all(b"here" in s.got or s.over for s in streams), args.patience)
        rows = [look(f"{number}: idle streams", side, pid, args)]
        wholes = crowd.ask(args.parked, question(program, False, until_ms))
        crowd.until("all guests are parked", lambda: sides.metrics(side)["realm_guests_parked"] +
                    sum(s.over for s in streams + wholes) >= args.idle + args.parked, args.patience)
        rows.append(look(f"{number}: and parked", side, pid, args))
        if time.time() * 1000 > until_ms:
            sys.exit(f"{args.hold:g} seconds were over before everything was measured: raise --hold")
        crowd.until("the end of all", lambda: all(s.over for s in streams + wholes), args.hold + args.patience)
        ends = {"streams": collections.Counter(outcome(s, True) for s in streams),
                "guests": collections.Counter(outcome(s, False) for s in wholes)}
    sides.until("guests and connections go back", lambda: is_gone(side, before), args.patience)
    rows.append(look(f"{number}: released", side, pid, args))
    return rows, ends


def per_piece(rows):
    """Bytes of a stream with its guest, and of a guest that is waited for, in the first round."""
    before, idle, parked = rows[:3]
    return {f"{what}_{kind}": (b[kind] - a[kind]) / (b["parked"] - a["parked"]) for what, a, b in
            (("stream", before, idle), ("guest", idle, parked)) if b["parked"] > a["parked"] for kind in ("rss", "pss")}


def failures(rows, ends):
    chats = sum(r["chat"]["started"] - r["chat"]["ok"] for r in rows)
    return chats + sum(n for round_ends in ends for kind in round_ends.values() for end, n in kind.items()
                       if end != "complete")


def left_over(rows):
    """What should have gone back and did not: counts of the last look less those of the first."""
    return {k: rows[-1][k] - rows[0][k] for k in ("files", "connections", "guests", "kv_blocks")}


def measure(side, port, pid, program, args):
    """-> rows, ends"""
    sides.warm(side, pid, args)
    with crowds.Crowd(port) as crowd:
        link, = crowd.ask(1, question(program, False, 0))
        crowd.until("the program answers", lambda: link.over, args.patience)
    rows, ends = [look("before", side, pid, args)], []
    for number in range(1, args.rounds + 1):
        more, end = one_round(number, program, side, port, pid, rows[0], args)
        rows += more
        ends.append(end)
    return rows, ends


def main():
    parser = sides.parser(__doc__, prompt_tokens=48, max_tokens=16)
    parser.add_argument("--idle", type=int, default=2000, help="streams that are open and silent")
    parser.add_argument("--parked", type=int, default=5000, help="guests that are waited for")
    parser.add_argument("--hold", type=float, default=60, help="seconds from the first connection to the last word")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--chats", type=int, default=10, help="chats of each look")
    args = parser.parse_args()
    most = args.idle + args.parked + FILES
    sides.allow_files(most)
    results = sides.Results("hold", args, sides.digests([args.name]))
    port = sides.free_port()
    side = sides.realm(args.name, port, args, "--max-connections", most, "--max-connections-per-ip", most,
                       "--max-guests", most)
    print(f"{'stage':<18} {'rss MiB':>8} {'pss MiB':>8} {'maps':>7} {'files':>6} {'conns':>6} {'guests':>6} {'parked':>6} "
          f"{'blocks':>6} {'ttft p50':>9} {'max':>9} {'gap p99':>9} chats")
    with sides.Program("hold") as program, sides.Running(side, args.patience) as pid:
        rows, ends = measure(side, port, pid, program, args)
    figures = {"failures": failures(rows, ends), "left_over": left_over(rows), "bytes": per_piece(rows)}
    results.write(server_command=sides.shown(side.command), figures=figures, ends=ends, results=rows)
    for number, end in enumerate(ends, 1):
        print(f"round {number}: streams {dict(end['streams'])}, guests {dict(end['guests'])}")
    print("bytes: " + ", ".join(f"{k.replace('_', ' ')} {v:.0f}" for k, v in figures["bytes"].items()))
    print(f"failures {figures['failures']} (bar 0), not given back {figures['left_over']}")
    results.told()
    sys.exit(figures["failures"] > 0)


if __name__ == "__main__":
    main()
