#!/usr/bin/env python3
"""What guessing ahead brings: tokens a second of one stream, with --speculate on over off, on texts that repeat and on some that do not.

usage: bench/load/speculate.py [--pairs 7] [--clients 1] [--max-tokens 300] [--texts rename,json,story,noise] NAME

Two servers, one with each setting; each text is asked of both in alternating order, with the same seed. Both must answer the same text,
or the bench ends. The time is that from a stream's first piece to its last, so the prompt has no part in it; with more clients, their
sum. The bars: on texts that do not repeat (story, noise) no less than 0.99. Results: bench/results/speculate-*.json"""
import http.client
import json
import sys
import threading
import time

import side as sides

CODE = "\n".join(f"""def {name}_total(orders, rate):
    total = 0
    for order in orders:
        if order.{name} is None:
            continue
        total += order.{name} * rate
    return total
""" for name in ("price", "weight", "volume", "discount"))
ROWS = "\n".join(f"{n}, {t}, {y}" for n, t, y in (
    ("Ada Lovelace", "mathematician", 1815), ("Alan Turing", "computer scientist", 1912),
    ("Grace Hopper", "rear admiral", 1906), ("Emmy Noether", "mathematician", 1882),
    ("Claude Shannon", "engineer", 1916), ("Edsger Dijkstra", "computer scientist", 1930)))
TEXTS = {  # name: members of the request; text: what is said
    "rename": {"text": f"Repeat this code with the variable `total` renamed to `amount`. Write the code only.\n\n{CODE}", "temperature": 0},
    "json": {"text": f"Write these rows as a JSON array of objects with name, profession and born.\n\n{ROWS}", "temperature": 0},
    "story": {"text": "Tell a long story about a lighthouse keeper who finds a map.", "temperature": 1.2},
    "noise": {"text": "lamp river seven", "temperature": 2, "ignore_eos": True},
}


def ask(side, args, name, seed):
    """-> the text, its tokens, seconds from its first piece to its last"""
    what = {**TEXTS[name]}
    said = what.pop("text")
    path = "/v1/completions" if args.completions or name == "noise" else "/v1/chat/completions"
    body = {"prompt": said} if path == "/v1/completions" else {"messages": [{"role": "user", "content": said}]}
    body |= {**what, "model": side.model, "max_tokens": args.max_tokens, "seed": seed, "stream": True,
             "stream_options": {"include_usage": True}}
    link = http.client.HTTPConnection(sides.url_of(side).removeprefix("http://"), timeout=600)
    link.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
    answer, text, times, tokens = link.getresponse(), [], [], 0
    if answer.status != 200:
        sys.exit(f"{path}: {answer.status} {answer.read(1000).decode(errors='replace')}")
    for line in answer:
        now = time.monotonic()
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if event.get("usage"):
            tokens = event["usage"]["completion_tokens"]
        for choice in event.get("choices", []):
            piece = choice.get("text") or choice.get("delta", {}).get("content")
            if piece:
                text.append(piece)
                times.append(now)
    link.close()
    return "".join(text), tokens, times[-1] - times[0] if times else 0.0


def once(side, args, name, seed):
    """All clients at once. -> texts, tokens a second, guesses, those of them that held"""
    got, before = [None] * args.clients, sides.metrics(side)

    def one(i):
        try:
            got[i] = ask(side, args, name, seed + 1000 * i)
        except (SystemExit, OSError) as why:
            print(f"{name}: {why}", file=sys.stderr)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(args.clients)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if None in got or not all(g[2] for g in got):
        sys.exit(f"{name}: an answer is missing, or too short to be timed")
    now = sides.metrics(side)
    counts = [now[f"realm_tokens_{k}_total"] - before[f"realm_tokens_{k}_total"] for k in ("drafted", "accepted")]
    return [g[0] for g in got], sum((g[1] - 1) / g[2] for g in got), sum(g[1] for g in got), *counts


def pair(servers, args, name, at):
    """-> tokens a second of both, their ratio, and what was guessed"""
    out = {"text": name, "seed": args.seed + at}
    texts = {}
    for which in ("off", "on") if at % 2 else ("on", "off"):
        texts[which], rate, tokens, drafted, held = once(servers[which], args, name, out["seed"])
        out |= {which: rate, "tokens": tokens}
        out |= {"drafted": drafted, "accepted": held} if which == "on" else {}
    if texts["on"] != texts["off"]:
        sys.exit(f"{name}, seed {out['seed']}: the texts differ\n--- on\n{texts['on']}\n--- off\n{texts['off']}")
    return {**out, "ratio": out["on"] / out["off"]}


def main():
    parser = sides.parser(__doc__, prompt_tokens=0, max_tokens=300)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--clients", type=int, default=1)
    parser.add_argument("--texts", default=",".join(TEXTS))
    args = parser.parse_args()
    results = sides.Results("speculate", args, sides.digests([args.name]))
    servers = {w: sides.realm(args.name, sides.free_port(), args, "--speculate", w) for w in ("on", "off")}
    rows, figures = [], {}
    print(f"{'':<8} {'off':>8} {'on':>8} {'on/off':>8} {'p90/p10':>8} {'tokens':>8} {'guessed':>8} {'held':>8} {'foreign':>8}")
    with sides.Running(servers["on"], args.patience) as on, sides.Running(servers["off"], args.patience) as off:
        for name in args.texts.split(","):
            once(servers["on"], args, name, args.seed)  # the model is loaded, the prompt known
            once(servers["off"], args, name, args.seed)
            meter = sides.Meter(on, off)
            mine = [pair(servers, args, name, at) for at in range(args.pairs)]
            foreign = meter.foreign()
            rows += mine
            f = figures[name] = {k: sides.median(mine, k) for k in ("off", "on", "ratio", "tokens", "drafted", "accepted")}
            f |= {"spread": sides.spread([r["ratio"] for r in mine]), "foreign_cores": foreign}
            print(f"{name:<8} {f['off']:>8.1f} {f['on']:>8.1f} {f['ratio']:>8.3f} {f['spread']:>8.3f} {f['tokens']:>8g} "
                  f"{f['drafted']:>8g} {f['accepted']:>8g} {foreign:>8.2f}", flush=True)
            results.write(figures=figures, results=rows)
    results.told()


if __name__ == "__main__":
    main()
