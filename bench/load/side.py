"""What the benches of the server share: a side that is started and driven, what a run must be to count, the clocks of
the machine, and the file of results. Environment: REALM_BIN and REALM_LOAD name the programs in place of the release
build's."""
import argparse
import collections
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shlex
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
REALM = pathlib.Path(os.environ.get("REALM_BIN") or ROOT / "build/release/realm")
LOAD = pathlib.Path(os.environ.get("REALM_LOAD") or ROOT / "build/release/bench/load/realm-load")
SLACK = 4  # tokens that a prompt may differ from what was asked for
TICK = os.sysconf("SC_CLK_TCK")
FOREIGN_MOST, SPREAD_MOST = 0.1, 1.15  # beyond these a run is void (docs/measuring.md)

Side = collections.namedtuple("Side", "name setting command ready env extra model")  # extra: members of each request


def realm(name, port, args, *words):
    """`realm serve`, asked for model `name`"""
    command = [REALM, "serve", "--port", port, "--keys-required", "no", *words, *shlex.split(getattr(args, "serve", ""))]
    return Side("realm", "", command, f"http://127.0.0.1:{port}/health", {"REALM_THREADS": str(args.threads)}, {}, name)


def url_of(side):
    return side.ready.rsplit("/", 1)[0]


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def shown(command):
    """The command with file names in place of paths: results travel."""
    return shlex.join(pathlib.Path(str(c)).name if os.sep in str(c) and "://" not in str(c) else str(c) for c in command)


def call(*command):
    """-> what it said on standard output"""
    try:
        done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    except OSError as why:
        sys.exit(f"{command[0]}: {why.strerror}; build Realm first: make build")
    if done.returncode:
        sys.exit(f"{shown(command)}\n{done.stderr[-2000:]}")
    return done.stdout


def is_ready(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status == 200
    except (OSError, urllib.error.URLError):
        return False


def until(what, ready, patience):
    """Asks `ready` until it answers something true. -> that"""
    end = time.monotonic() + patience
    while not (got := ready()):
        if time.monotonic() > end:
            sys.exit(f"not within {patience:g} seconds: {what}")
        time.sleep(0.2)
    return got


class Running:
    """A started side: use with `with`."""

    def __init__(self, side, patience):
        self.side, self.patience = side, patience
        self.log = tempfile.TemporaryFile("w+")

    def tail(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def __enter__(self):
        try:
            self.server = subprocess.Popen([str(c) for c in self.side.command], stdout=self.log, stderr=self.log,
                                           env={**os.environ, **self.side.env})
        except OSError as why:
            sys.exit(f"{self.side.command[0]}: {why.strerror}; build it first: make build, and bench/peers/run "
                     "for llama.cpp's tools (LLAMA_BIN names their folder)")
        end = time.monotonic() + self.patience
        while not is_ready(self.side.ready):
            if self.server.poll() is not None or time.monotonic() > end:
                self.__exit__()
                sys.exit(f"{shown(self.side.command)}\nis not ready:\n{self.tail()}")
            time.sleep(0.2)
        return self.server.pid

    def __exit__(self, *_):
        self.server.terminate()
        try:
            self.server.wait(20)
        except subprocess.TimeoutExpired:
            self.server.kill()
            self.server.wait()


class Program:
    """A guest of bench/load/guests in the registry, as long as the `with` lasts. -> its name there"""

    def __init__(self, guest):
        self.name, self.file = f"bench-{guest}", REALM.parent / f"guests/{guest}.wasm"

    def __enter__(self):
        call(REALM, "program", "add", self.file, "--name", self.name, "--replace")
        return self.name

    def __exit__(self, *_):
        call(REALM, "program", "rm", self.name)


# ---- realm-load


RUNS = collections.Counter()  # of a server: each run has prompts of its own, for servers remember what they have seen


def load(side, pid, args, *words):
    """One run; the n-th runs of two servers ask the same. -> realm-load's report (nothing may have succeeded in it), its
    command"""
    command = [LOAD, url_of(side), *words, "-p", args.prompt_tokens, "-m", args.max_tokens,
               "--seed", args.seed + RUNS[side.ready], "--pid", pid, "--json"]
    RUNS[side.ready] += 1
    command += ["--extra", json.dumps(side.extra)] if side.extra else []
    command += ["--model", side.model] if side.model else []
    command += ["--completions"] if args.completions else []
    command += ["--prompt-words", args.prompt_words] if getattr(args, "prompt_words", None) else []
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True)
    if not done.stdout.startswith("{"):
        sys.exit(f"{shown(command)}\n{done.stderr}")
    return json.loads(done.stdout), command


def warm(side, pid, args, n=4):
    """The model is loaded; from now on the length of prompts is known, so that no run has to ask for it first."""
    report, _ = load(side, pid, args, "-c", 1, "-n", n)
    check(report, args)
    args.prompt_words = report["asked"]["prompt_words"]


def drive(side, pid, clients, args):
    """A closed loop of so many clients. -> realm-load's report, its command"""
    return load(side, pid, args, "-c", clients, "-n", max(args.least, clients * args.rounds))


def check(report, args):
    """Runs are compared only when they did what was asked for."""
    faults = [f"{k}: {report[k]}" for k in ("failed", "rejected", "shorter") if report[k]]
    faults += [f"usage {k}: {report['usage'][k]}" for k in ("missing", "impossible") if report["usage"][k]]
    if not report["ok"]:
        faults.append("no answer")
    elif max(abs(report["prompt"][k] - args.prompt_tokens) for k in ("least", "most")) > getattr(args, "slack", SLACK):
        faults.append(f"prompts of {report['prompt']['least']} to {report['prompt']['most']} tokens")
    if faults:
        sys.exit(f"self-check: {'; '.join(faults)} {report['why'] or ''}")


# ---- the server and the machine, as they are now


def metrics(side):
    """-> {name: value summed over its labels}; the numbers of buckets stay out"""
    with urllib.request.urlopen(url_of(side) + "/metrics", timeout=60) as answer:
        text = answer.read().decode()
    out = collections.Counter()
    for name, value in re.findall(r"^([A-Za-z_:][\w:]*)(?:\{.*\})? ([^ ]+)$", text, re.M):
        if not name.endswith("_bucket"):
            out[name] += float(value)
    return out


def cpu_of(pid):
    """CPU seconds of all threads of a process."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICK


class Meter:
    """Cores that neither the processes `pids` nor this one and its finished children used."""

    def __init__(self, *pids):
        self.pids, self.begin = pids, time.monotonic()
        self.before = self.read()

    def read(self):
        busy = [int(x) for x in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        return (sum(busy[:3]) + sum(busy[5:8])) / TICK - sum(os.times()[:4]) - sum(cpu_of(p) for p in self.pids)

    def foreign(self):
        return max(0.0, (self.read() - self.before) / (time.monotonic() - self.begin))


def allow_files(n):
    """So many open files, here and in what is started from now on."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n:
        sys.exit(f"{n} open files are needed, {hard} allowed: raise the hard limit (ulimit -Hn {n} as root) or use fewer")
    if soft < n:
        resource.setrlimit(resource.RLIMIT_NOFILE, (n, hard))


def spread(samples):
    """p90 / p10"""
    s = sorted(samples)
    low, high = (s[int(q * (len(s) - 1) + 0.5)] for q in (0.1, 0.9))
    return high / low if low else 0.0


# ---- arguments and results


def cpu():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def level():
    """The kernels' level, as Realm chose it. The doctor's exit code is about something else."""
    done = subprocess.run([str(REALM), "doctor", "--json"], capture_output=True, text=True)
    return next(c["value"] for c in json.loads(done.stdout)["checks"] if c["name"] == "kernels")


def version():
    git = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return f"{call(REALM, 'version').strip()} {git.stdout.strip()}".strip()


def digests(names):
    """SHA-256 of models of the registry by their names."""
    known = {m["name"]: m["sha256"] for m in json.loads(call(REALM, "models", "--json"))["models"]}
    for name in names:
        if name not in known:
            sys.exit(f"no model is named {name}; realm models lists what there is")
    return {name: known[name] for name in names}


def numbers(text):
    return [int(x) for x in text.split(",")]


def parser(doc, prompt_tokens, max_tokens):
    """What every bench of a registry's model takes."""
    p = argparse.ArgumentParser(description=doc.splitlines()[0])
    p.add_argument("name", help="a model of the registry")
    p.add_argument("--prompt-tokens", type=int, default=prompt_tokens)
    p.add_argument("--slack", type=int, default=SLACK, help="tokens that a prompt may differ from that")
    p.add_argument("--max-tokens", type=int, default=max_tokens)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--completions", action="store_true", help="/v1/completions: for models without a chat template")
    p.add_argument("--patience", type=float, default=120, help="seconds for what must come")
    p.add_argument("--serve", default="", metavar="WORDS", help="more options of realm serve")
    p.add_argument("--out", type=pathlib.Path, help="where results go (default bench/results)")
    return p


def median(rows, *path):
    """Of one member of each row."""
    values = []
    for row in rows:
        for key in path:
            row = row[key]
        values.append(row)
    return statistics.median(values)


class Results:
    """The file of a bench's raw samples; it names files but no folders. Written as often as there is more to keep."""

    def __init__(self, kind, args, names):
        started = datetime.datetime.now(datetime.timezone.utc)
        self.out = getattr(args, "out", None) or ROOT / "bench/results" / f"{kind}-{started:%Y%m%d-%H%M%S}.json"
        rule = {k: v for k, v in vars(args).items() if k not in ("name", "models", "out")}
        self.head = {"bench": kind, "time": started.isoformat(), "cpu": cpu(), "kernel": platform.release(),
                     "level": level(), "version": version(), "command": shown(sys.argv), "rule": rule,
                     "sha256": names}

    def write(self, **more):
        self.out.parent.mkdir(exist_ok=True)
        self.out.write_text(json.dumps({**self.head, **more}, indent=1) + "\n")

    def told(self):
        print(f"written to {self.out.relative_to(ROOT) if self.out.is_relative_to(ROOT) else self.out}")
