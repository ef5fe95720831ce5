"""realm-load from outside, against the scripted server: what it counts is what was done to it."""
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import unittest

import server

BIN = os.environ["REALM_LOAD"]


class Case(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.server = server.Server()
        self.addCleanup(self.server.stop)

    def run_load(self, *args, code=0, url=None):
        env = {k: v for k, v in os.environ.items() if k != "REALM_LOAD_KEY"}
        done = subprocess.run([BIN, url or self.server.url, *map(str, args)], capture_output=True,
                              text=True, timeout=120, env=env)
        self.assertNotIn("Sanitizer", done.stderr)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done

    def load(self, model, *args, code=0, n=3, words=20, url=None):
        """-> the report of n requests, one client"""
        out = self.run_load("--model", model, "-n", n, "-m", 4, "--prompt-words", words, "--pause-ms", 0,
                            "--json", *args, code=code, url=url).stdout
        self.assertEqual(out.count("\n"), 1)
        report = json.loads(out)
        self.assertEqual(report["started"], report["ok"] + report["rejected"] + report["failed"])
        self.assertEqual(sum(report["status"].values()), report["started"])
        return report

    def counts(self, report, **expected):
        self.assertEqual({k: report[k] for k in expected}, expected)

    def file(self, *bodies):
        f = tempfile.NamedTemporaryFile("w", suffix=".jsonl")
        self.addCleanup(f.close)
        f.write("".join(json.dumps(b) + "\n" for b in bodies))
        f.flush()
        return pathlib.Path(f.name)


class Streams(Case):
    def test_a_good_server(self):
        r = self.load("good", "-c", 2, n=10)
        self.counts(r, started=10, ok=10, rejected=0, failed=0, status={"200": 10}, reasons={}, tokens=40,
                    shorter=0, prompt={"tokens": 300, "least": 30, "most": 30}, warnings=[],
                    usage={"seen": 10, "missing": 0, "differs": 0, "impossible": 0})
        self.assertEqual([r[k]["n"] for k in ("first_ms", "gap_ms", "whole_ms", "late_ms")], [10, 30, 10, 0])
        self.assertEqual(r["client"]["events"], 10 * 7)  # role, 4 texts, finish, usage
        self.assertEqual(r["client"]["text_events"], 40)
        self.assertLessEqual(r["first_ms"]["max"], r["whole_ms"]["max"])
        self.assertEqual(r["client"]["connections"], 2)
        self.assertEqual(self.server.connections, 2)  # kept
        self.assertEqual(r["client"]["sent_again"], 0)

    def test_what_was_sent(self):
        self.load("good", "--seed", 5, "--temperature", 0.5, "--extra", '{"top_k":3}', n=4)
        self.load("good", "--completions", "--eos", "--seed", 6, n=1)
        paths, requests = zip(*self.server.requests)
        self.assertEqual(paths, ("/v1/chat/completions",) * 4 + ("/v1/completions",))
        self.assertEqual(len({r.prompt for r in requests}), 5)  # distinct
        for r in requests[:4]:
            self.assertEqual(len(r.prompt.split()), 20)
            self.assertEqual(r.json["stream_options"], {"include_usage": True})
            self.assertEqual((r.json["temperature"], r.json["top_k"], r.json["ignore_eos"]), (0.5, 3, True))
        self.assertNotIn("ignore_eos", requests[4].json)
        again = server.Server()
        self.addCleanup(again.stop)
        self.load("good", "--seed", 5, n=4, url=again.url)
        self.assertEqual([r.prompt for _, r in again.requests], [r.prompt for r in requests[:4]])

    def test_pieces_of_five_bytes(self):
        r = self.load("pieces", n=5)
        self.counts(r, ok=5, tokens=20)
        self.assertEqual(r["client"]["text_events"], 20)

    def test_a_body_to_the_end_of_the_connection(self):
        r = self.load("to_the_end")
        self.counts(r, ok=3, tokens=12)
        self.assertEqual(r["client"]["connections"], 3)

    def test_without_keepalive(self):
        r = self.load("good", "--no-keepalive")
        self.assertEqual(self.server.connections, 3)
        self.counts(r, ok=3)

    def test_a_kept_connection_that_is_gone(self):
        r = self.load("flaky", n=4)
        self.counts(r, ok=4, failed=0)
        self.assertEqual((r["client"]["connections"], r["client"]["sent_again"]), (4, 3))

    def test_plain_answers(self):
        r = self.load("good", "--no-stream")
        self.counts(r, ok=3, tokens=12)
        self.assertEqual((r["first_ms"]["n"], r["gap_ms"]["n"], r["whole_ms"]["n"]), (0, 0, 3))

    def test_usage_that_disagrees(self):
        for model, differs, impossible, tokens in (("fewer", 3, 3, 9), ("more", 3, 3, 15), ("silent", 3, 0, 12)):
            r = self.load(model)
            self.counts(r, ok=3, tokens=tokens,
                        usage={"seen": 3, "missing": 0, "differs": differs, "impossible": impossible})
            self.assertEqual(any("usage below" in w for w in r["warnings"]), impossible > 0)
        r = self.load("no_usage")
        self.counts(r, ok=3, tokens=12, usage={"seen": 0, "missing": 3, "differs": 0, "impossible": 0})
        self.assertTrue(any("no usage" in w for w in r["warnings"]))

    def test_streams_that_end_early(self):
        r = self.load("early")
        self.counts(r, ok=3, tokens=6, shorter=3)
        self.assertIn("ended before max_tokens", " ".join(r["warnings"]))

    def test_goodput(self):
        r = self.load("good", "--goodput-ms", 1e9)
        self.assertEqual((r["goodput"]["good"], r["goodput"]["share"]), (3, 1))
        r = self.load("good", "--goodput-factor", 0.001, "--solo-ms", 0.001)
        self.assertEqual(r["goodput"]["good"], 0)

    def test_a_file_of_bodies(self):
        file = self.file({"model": "good", "max_tokens": 2}, {"model": "429"}, {"model": "cut"})
        r = json.loads(self.run_load("--bodies", file, "-n", 6, "--json", "--pause-ms", 0).stdout)
        self.counts(r, started=6, ok=2, rejected=2, failed=2, tokens=4, reasons={"rejected": 2, "cut": 2})


class Failures(Case):
    def test_each_is_counted_under_its_name(self):
        for model, reason, status in (
                ("cut", "cut", 200), ("rst", "reset", 0), ("bad_chunk", "bad_http", 200), ("bad_status", "bad_http", 0),
                ("long_header", "bad_http", 0), ("many_headers", "bad_http", 0), ("both_lengths", "bad_http", 0),
                ("not_stream", "not_a_stream", 200), ("bad_json", "bad_event", 200),
                ("long_event", "too_long", 200), ("no_done", "no_done", 200), ("behind_done", "bad_event", 200),
                ("error_event", "error_event", 200), ("400", "status", 400)):
            with self.subTest(model):
                r = self.load(model, code=1)
                self.counts(r, started=3, ok=0, failed=3, reasons={reason: 3}, status={str(status): 3}, tokens=0)
                self.assertEqual(r["whole_ms"]["n"], 0)

    def test_what_the_server_said_is_shown_without_its_control_characters(self):
        r = self.load("400", code=1)
        self.assertEqual(r["why"]["status"], "no ?[31msuch parameter")
        self.assertEqual(self.load("error_event", code=1)["why"]["error_event"], "out of memory")
        out = self.run_load("--model", "400", "-n", 1, "--prompt-words", 9, code=1).stdout
        self.assertIn("1 status: another status than 200: no ?[31msuch parameter", out)

    def test_rejects(self):
        for model, status, with_header in (("429", 429, 3), ("429_bare", 429, 0), ("503", 503, 3)):
            r = self.load(model, code=1)
            self.counts(r, ok=0, rejected=3, failed=0, status={str(status): 3})
            self.assertEqual((r["rejects"]["retry_after"], r["rejects"]["no_retry_after"]),
                             (with_header, 3 - with_header))
            self.assertEqual(r["rejects"]["ms"]["n"], 3)
            self.assertEqual(r["client"]["connections"], 1)  # a refusal keeps the connection

    def test_stray_bytes_end_the_connection(self):
        r = self.load("stray", n=1)
        self.counts(r, ok=1)
        self.assertEqual(r["client"]["stray"], 1)

    def test_nobody_listens(self):
        with socket.create_server(("127.0.0.1", 0)) as s:
            port = s.getsockname()[1]
        r = self.load("good", code=1, url=f"http://127.0.0.1:{port}")
        self.counts(r, failed=3, reasons={"connect": 3}, status={"0": 3})

    def test_no_answer_in_time(self):
        r = self.load("mute", "--timeout", 0.3, n=1, code=1)
        self.counts(r, failed=1, reasons={"timeout": 1})

    def test_a_key(self):
        self.counts(self.load("keyed", code=1), failed=3, status={"401": 3})
        self.counts(self.load("keyed", "--key", "rk_1_x"), ok=3)

    def test_wrong_use(self):
        for args in (("-c", "x"), ("--nothing",), ("--rate", "0")):
            done = self.run_load(*args, code=2)
            self.assertTrue(done.stderr.startswith("realm-load: "))
            self.assertEqual(done.stdout, "")
        self.assertIn("--goodput-ms", self.run_load("--help").stdout)


class Prompts(Case):
    def test_they_are_sized_by_asking(self):
        r = json.loads(self.run_load("--model", "good", "-n", 4, "-p", 50, "-m", 2, "--json").stdout)
        self.counts(r, ok=4, prompt={"tokens": 200, "least": 50, "most": 50})
        self.assertEqual((r["asked"]["prompt_words"], r["asked"]["calibrated_tokens"]), (40, 50))
        self.assertEqual([x.json["stream"] for _, x in self.server.requests], [False, False, True, True, True, True])

    def test_a_server_that_does_not_say(self):
        done = self.run_load("--model", "400", "-n", 1, code=1)
        self.assertIn("status 400", done.stderr)
        self.assertIn("no ?[31msuch parameter", done.stderr)
        done = self.run_load("--model", "good", "-n", 1, "-p", 5, code=1)  # 4 words are 14 tokens
        self.assertIn("--prompt-tokens", done.stderr)


class Loops(Case):
    def test_open_loop(self):
        for how in ((), ("--uniform",)):
            r = self.load("good", "--rate", 2000, *how, n=50)
            self.counts(r, started=50, ok=50)
            self.assertEqual(r["late_ms"]["n"], 50)
            self.assertLessEqual(r["late_ms"]["max"], r["whole_ms"]["max"])  # latency has it inside

    def test_open_loop_without_clients_left(self):
        r = self.load("mute", "--rate", 1e6, "--uniform", "--max-clients", 1, "--timeout", 2, n=20, code=1)
        self.counts(r, started=20, failed=20, reasons={"timeout": 1, "no_client": 19})
        self.assertIn("19 requests were not sent", " ".join(r["warnings"]))

    def test_idle_streams(self):
        file = self.file({"model": "hold"})
        r = self.load("good", "--idle", 100, "--idle-bodies", file, "-c", 2, n=10)
        self.counts(r, started=10, ok=10, idle_connections=100)
        self.assertEqual(r["idle"], {"clients": 100, "opened": 100, "streams_at_end": 100, "ended": 0, "failed": 0,
                                     "events": 100, "reasons": {}})
        self.assertEqual(sum(x.json["model"] == "hold" for _, x in self.server.requests), 100)

    def test_idle_streams_alone(self):
        file = self.file({"model": "hold"}, {"model": "429"}, {"model": "good"})
        out = self.run_load("-c", 0, "--idle", 9, "--idle-bodies", file, "-d", 0.1, "--json", "--prompt-words", 9).stdout
        r = json.loads(out)
        self.counts(r, started=0, idle_connections=9)  # a refusal and an end keep their connection
        self.assertEqual([r["idle"][k] for k in ("opened", "streams_at_end", "ended", "failed")], [6, 3, 3, 3])
        self.assertEqual(r["idle"]["reasons"], {"rejected": 3})

    def test_slow_clients(self):
        r = self.load("good", "--slow", 5, "--slow-ms", 1, n=10)
        self.counts(r, started=10, ok=10)
        self.assertEqual((r["slow"]["clients"], r["slow"]["opened"], r["slow"]["failed"]), (5, 5, 0))

    def test_a_slow_client_reads_to_the_end_and_asks_again(self):
        run = subprocess.Popen([BIN, self.server.url, "--model", "good", "-m", "1", "-c", "0", "--slow", "2",
                                "--slow-ms", "1", "-d", "300", "--prompt-words", "9", "--json"],
                               stdout=subprocess.PIPE, text=True)
        for _ in range(4):
            self.server.seen.acquire(timeout=120)
        run.send_signal(signal.SIGINT)
        r = json.loads(run.communicate(timeout=60)[0])
        self.assertEqual(run.returncode, 0)
        self.assertGreaterEqual(r["slow"]["ended"], 1)
        self.assertEqual((r["slow"]["opened"], r["slow"]["failed"]), (2, 0))

    def test_the_servers_process(self):
        r = self.load("good", "--pid", os.getpid())
        self.assertGreater(r["server"]["rss_peak"], 1 << 20)
        self.assertGreaterEqual(r["server"]["cpu_s"], 0)
        r = self.load("good", "--pid", 4194304)
        self.assertNotIn("server", r)
        self.assertIn("could not be read", " ".join(r["warnings"]))

    def test_a_signal_ends_it_with_a_report(self):
        run = subprocess.Popen([BIN, self.server.url, "--model", "hold", "-c", "3", "-n", "9", "--prompt-words", "9",
                                "--json"], stdout=subprocess.PIPE, text=True)
        for _ in range(3):
            self.server.seen.acquire(timeout=60)
        run.send_signal(signal.SIGINT)
        r = json.loads(run.communicate(timeout=60)[0])
        self.assertEqual(run.returncode, 1)
        self.counts(r, started=3, failed=3, reasons={"stopped": 3})
        self.assertIn("the run was broken off", r["warnings"])

    def test_the_table(self):
        out = self.run_load("--model", "good", "-n", 3, "-m", 4, "--prompt-words", 9, "--pid", os.getpid()).stdout
        for words in ("3 complete, 0 rejected, 0 failed", "tokens: 12", "first token", "between tokens",
                      "whole request", "us an event of 21", "server: "):
            self.assertIn(words, out)


if __name__ == "__main__":
    unittest.main(verbosity=2)
