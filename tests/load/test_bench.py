"""The benches of the server on the tiny model, seconds long: that they count what there was, not how fast it was."""
import json
import os
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/cli"), str(ROOT / "bench/load")]

import crowd  # noqa: E402
import hold  # noqa: E402
import house  # noqa: E402


class Ends(unittest.TestCase):
    """What hold.py takes for a failure."""

    def test_outcomes(self):
        ok = b"HTTP/1.1 200 OK\r\n\r\n"
        for got, over, why, stream, expected in (
                (ok + b"here and gone", True, "", False, "complete"),
                (ok + b"here and gone", False, "", False, "cut"),
                (ok + b"here", True, "", False, "cut"),
                (ok + b"here ... and gone ... [DONE]", True, "", True, "complete"),
                (ok + b"here ... and gone", True, "", True, "cut"),
                (ok + b"here ... and gone ... [DONE]", True, "Connection reset by peer", True, "cut"),
                (b"HTTP/1.1 503 No\r\n\r\n", True, "", True, "503"),
                (b"", True, "Connection reset by peer", True, "Connection reset by peer"),
                (b"", False, "", True, "no answer")):
            with self.subTest(got=got):
                link = crowd.Link.__new__(crowd.Link)
                link.got, link.over, link.why = bytearray(got), over, why
                self.assertEqual(hold.outcome(link, stream), expected)

    def test_failures(self):
        rows = [{"chat": {"started": 2, "ok": 2}}, {"chat": {"started": 3, "ok": 2}}]
        ends = [{"streams": {"complete": 5, "503": 2}, "guests": {"cut": 1}}, {"streams": {"complete": 5}, "guests": {}}]
        self.assertEqual(hold.failures(rows, ends), 1 + 2 + 1)


class Bench(house.Case):
    def bench(self, script, *words, code=0):
        """-> what was written, what was printed"""
        out = self.work / f"{script}.json"
        out.unlink(missing_ok=True)
        done = subprocess.run([sys.executable, "-B", str(ROOT / f"bench/load/{script}.py"), "tiny", "--out", str(out), "--slack", "99",
                               *map(str, words)], capture_output=True, text=True, timeout=300,
                              env={**self.env, "REALM_BIN": house.BIN, "REALM_LOAD": os.environ["REALM_LOAD"]})
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        self.assertNotIn("Sanitizer", done.stdout + done.stderr)
        written = json.loads(out.read_text())
        for key in ("cpu", "kernel", "level", "version", "command", "rule"):
            self.assertTrue(written[key], key)
        self.assertEqual(list(written["sha256"]), ["tiny"])
        self.assertNotIn(str(self.work), json.dumps(written))  # names files, no folders
        self.assertEqual(self.json("program", "list", "--json")["programs"], [])  # what it installed is gone
        return written, done.stdout

    def test_hold(self):
        r, said = self.bench("hold", "--idle", 20, "--parked", 30, "--hold", 15, "--rounds", 1, "--chats", 2, "--max-tokens", 4)
        self.assertEqual(r["ends"], [{"streams": {"complete": 20}, "guests": {"complete": 30}}])
        self.assertEqual(r["figures"]["failures"], 0)
        self.assertEqual([row["parked"] for row in r["results"]], [0, 20, 50, 0])
        self.assertEqual([row["chat"]["ok"] for row in r["results"]], [2] * 4)
        self.assertGreaterEqual(r["results"][2]["files"], r["results"][0]["files"] + 50)
        self.assertEqual(r["figures"]["left_over"]["guests"], 0)
        self.assertIn("failures 0", said)

    def test_slow(self):
        r, said = self.bench("slow", "--slow", 10, "--drip", 4, "--seconds", 1, "--settle", 0, "--pairs", 2, "--max-tokens", 4)
        self.assertEqual(len(r["results"]), 2)
        for row in r["results"]:
            self.assertGreater(min(row["alone"]["ok"], row["with"]["ok"]), 0)
            self.assertEqual((row["crowd"]["slow"]["clients"], row["crowd"]["slow"]["opened"]), (10, 10))
            self.assertGreater(row["crowd"]["drip"]["bytes"], 0)
            self.assertGreaterEqual(row["crowd"]["connections"], 14)
        self.assertIn("medians of", said)

    def test_slow_chats(self):
        r, _ = self.bench("slow", "--slow", 5, "--drip", 0, "--seconds", 1, "--settle", 0, "--pairs", 1, "--chats",
                          "--max-tokens", 4)
        self.assertEqual(r["results"][0]["crowd"]["slow"]["opened"], 5)
        self.assertIsNone(r["results"][0]["crowd"]["drip"])

    def test_overload(self):
        r, said = self.bench("overload", "--clients", "1,2", "--search-seconds", 1, "--solo-requests", 3, "--seconds", 1,
                             "--pairs", 1, "--max-clients", 400, "--max-tokens", 4, "--good-factor", 1000, "--admit", 0.005)
        self.assertEqual([row["clients"] for row in r["search"]], [1, 2])
        run, = r["results"]
        self.assertEqual(run["open"]["asked"]["loop"], "open")
        self.assertGreater(run["peak_per_s"], 0)  # with that factor all are good
        self.assertGreater(run["open"]["started"], 0)
        self.assertLessEqual(run["open"]["goodput"]["good"], run["open"]["ok"])
        self.assertEqual(run["open"]["rejects"]["no_retry_after"], 0)
        self.assertIn("of the best", said)

    def test_guest(self):
        r, said = self.bench("guest", "--clients", 2, "--max-tokens", 8, "--pairs", 2)
        self.assertEqual([row["tokens"] for row in r["results"]], [16, 16])
        for row in r["results"]:
            self.assertGreater(min(row["cpu_s"][g] for g in ("engine", "guest", "http")), 0)
        self.assertIn("guest / engine", said)


if __name__ == "__main__":
    house.main()
