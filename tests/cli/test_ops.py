#!/usr/bin/env python3
"""Operating realm serve: its log, settings read again at SIGHUP, realm ps, and what a service manager is told."""
import configparser
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time
import unittest

from house import BIN, ROOT, Case
from live import Server
from test_serve import HELLO


class Piped(Server):
    """Its log comes through a pipe, line by line; `said` is the first one."""

    def __init__(self, case, *args, env=None):
        self.run = subprocess.Popen([BIN, "serve", "--port", "0", *args], env={**case.env, **(env or {})},
                                    stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        self.said = self.run.stderr.readline()
        self.port = int(self.said.rsplit(":", 1)[1])

    def log(self):
        return self.said

    def stop(self):
        super().stop()
        self.run.stderr.close()


class Ops(Case):
    def setUp(self):
        self.file = self.work / ".config/realm/realm.toml"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("")
        self.env.pop("XDG_CONFIG_HOME", None)

    def serve(self, *args, **kw):
        server = Piped(self, *args, **kw)
        self.addCleanup(server.stop)
        return server

    def line(self, server, msg):
        """Reads the log up to a line whose msg has these words; every line is a JSON object."""
        while True:
            text = server.run.stderr.readline()
            self.assertTrue(text.endswith("\n"), f"the log ended before {msg!r}")
            line = json.loads(text)
            self.assertRegex(line["ts"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
            self.assertIn(line["level"], ("debug", "info", "warn", "error"))
            if msg in line["msg"]:
                return line

    def reload(self, server, text, level="info", msg="the settings were read again"):
        self.file.write_text(text)
        server.run.send_signal(signal.SIGHUP)
        line = self.line(server, msg)
        self.assertEqual(line["level"], level)
        return line["msg"]

    # ---- the log

    def test_each_request_has_a_line(self):
        key = self.realm("key", "new").stdout.strip()
        ident = key.split("_")[1]
        self.addCleanup(self.realm, "key", "revoke", ident)
        server = self.serve()
        trace = "4bf92f3577b34da6a3ce929d0e0e4736"
        server.json("GET", "/v1/models", headers={"Authorization": f"Bearer {key}",
                                                  "traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
        line = self.line(server, "request")
        self.assertEqual((line["method"], line["path"], line["status"], line["key"], line["peer"]),
                         ("GET", "/v1/models", 200, ident, "127.0.0.1"))
        self.assertEqual((line["trace_id"], line["parent_id"]), (trace, "00f067aa0ba902b7"))
        self.assertGreater(line["bytes"], 10)
        self.assertGreater(line["ms"], 0)
        self.assertNotIn(key.split("_")[2], json.dumps(line))
        server.json("GET", "/v1/models", headers={"Authorization": f"Bearer {key}x", "traceparent": "00-0-0-00"}, status=401)
        line = self.line(server, "request")
        self.assertEqual((line["status"], line.get("key"), line.get("parent_id")), (401, None, None))
        self.assertRegex(line["trace_id"], "^[0-9a-f]{32}$")
        self.assertRegex(line["span_id"], "^[0-9a-f]{16}$")
        server.ask("GET", "/v1/x%0a%22%7f%1b%5b2J%C3%A4")
        line = self.line(server, "request")
        self.assertIn(line["status"], (400, 404))
        self.assertNotIn("\x1b", json.dumps(line))
        with socket.create_connection(("127.0.0.1", server.port)) as link:
            link.sendall(b"nonsense\x01\r\n\r\n")
            self.assertTrue(link.recv(1000))
        line = self.line(server, "request")
        self.assertEqual((line["status"], line["refused"]), (400, True))

    def test_nobody_reads_the_log(self):
        server = self.serve()
        for _ in range(600):  # more than a pipe holds
            server.json("GET", "/livez")

    # ---- threads

    def test_threads_have_names(self):
        server = self.serve()
        server.json("POST", "/v1/chat/completions", HELLO)
        names = [comm.read_text().strip() for comm in pathlib.Path(f"/proc/{server.run.pid}/task").glob("*/comm")]
        for kind in ("http", "intake", "log", "engine", "guest-1", "helper", "ticker"):
            self.assertIn("realm-" + kind, names)
        self.assertEqual(names.count("realm"), 1, "the main thread alone is what ps calls the process")

    # ---- metrics

    def metrics(self, server):
        """-> {series: value}; each family has one HELP and one TYPE, each series comes once"""
        status, fields, text = server.ask("GET", "/metrics")
        self.assertEqual((status, fields["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        found, heads = {}, []
        for line in text.removesuffix("\n").split("\n"):
            if line.startswith("# "):
                heads.append(tuple(line.split(" ")[1:3]))
                continue
            series, _, value = line.rpartition(" ")
            self.assertNotIn(series, found)
            found[series] = float(value)
        self.assertEqual(len(heads), len(set(heads)))
        return found

    def test_metrics(self):
        server = self.serve()
        before = self.metrics(server)
        self.assertEqual(before["realm_ready"], 1)
        usage = server.json("POST", "/v1/chat/completions", HELLO)["usage"]
        server.events("/v1/chat/completions", HELLO)
        server.json("GET", "/v1/models/none", status=404)
        done = 'realm_requests_finished_total{finish="%s"}'
        self.until(lambda: sum(self.metrics(server)[done % w] for w in ("stop", "length")) == 2)
        after = self.metrics(server)
        self.assertEqual(after["realm_generated_tokens_total"], 2 * usage["completion_tokens"])
        self.assertEqual(after["realm_prompt_tokens_total"], 2 * usage["prompt_tokens"])
        self.assertEqual(after["realm_runs_done_total"], 2)
        self.assertEqual(after["realm_time_to_first_token_seconds_count"], 2)
        self.assertEqual(after["realm_request_duration_seconds_count"], 2)
        self.assertGreater(after["realm_guest_cpu_seconds_total"], 0)
        self.assertGreater(after["realm_kv_blocks_total"], 0, "the model stays open for the next request")
        self.assertEqual(after["realm_kv_blocks_used"], 0)
        self.assertEqual(after['realm_http_requests_total{method="POST",route="/v1/chat/completions",class="2xx"}'], 2)
        self.assertEqual(after['realm_http_requests_total{method="GET",route="/v1/models/",class="4xx"}'], 1)
        for name in ("num_requests_running", "num_requests_waiting"):
            self.assertEqual(after['vllm:%s{model_name="tiny"}' % name], 0)
        self.assertIn('vllm:kv_cache_usage_perc{model_name="tiny"}', after)

        def between_pieces():
            """What waited for its reader comes as one piece: one reply may have no second."""
            server.events("/v1/chat/completions", HELLO)
            return self.metrics(server)["realm_inter_token_seconds_count"]
        self.until(between_pieces)

    def test_each_completion_has_a_line(self):
        server = self.serve()
        usage = server.json("POST", "/v1/chat/completions", HELLO)["usage"]
        lines = [self.line(server, "r") for _ in range(2)]  # "request" and "run", in either order
        run, = (x for x in lines if x["msg"] == "run")
        request, = (x for x in lines if x["msg"] == "request")
        self.assertEqual((run["trace_id"], run["span_id"], run["id"]),
                         (request["trace_id"], request["span_id"], request["id"]))
        self.assertEqual((run["model"], run["prompt_tokens"], run["completion_tokens"]),
                         ("tiny", usage["prompt_tokens"], usage["completion_tokens"]))
        self.assertIn(run["finish"], ("stop", "length"))
        self.assertLessEqual(run["ttft_ms"], run["ms"])
        self.assertGreater(run["guest_cpu_ms"], 0)
        self.assertNotIn("hello", json.dumps(lines))

    # ---- SIGHUP

    def test_a_key_counts_after_sighup(self):
        server = self.serve()
        server.json("GET", "/v1/models")
        key = self.realm("key", "new").stdout.strip()
        self.addCleanup(self.realm, "key", "revoke", key.split("_")[1])
        server.json("GET", "/v1/models")
        self.reload(server, "")
        server.json("GET", "/v1/models", status=401)
        server.json("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"})
        server.json("GET", "/readyz")
        self.reload(server, "[server]\nkeys_required = 'no'\n")
        server.json("GET", "/v1/models")

    def test_settings_are_read_again(self):
        server = self.serve()
        body = json.dumps({**HELLO, "user": "x" * 2000})
        server.json("GET", "/v1/models", headers={"Host": "shop.example"}, status=421)
        server.json("GET", "/v1/models", headers={"Origin": "https://shop.example"}, status=403)
        server.json("POST", "/v1/chat/completions", body)
        self.reload(server, "[server]\nallowed_hosts = ['shop.example']\nallowed_origins = ['https://shop.example']\n"
                            "max_body = 1024\n")
        server.json("GET", "/v1/models", headers={"Host": "shop.example"})
        server.json("GET", "/v1/models", headers={"Origin": "https://shop.example"})
        self.assertEqual(server.ask("POST", "/v1/chat/completions", body)[0], 413)
        self.reload(server, "")
        server.json("GET", "/v1/models", headers={"Host": "shop.example"}, status=421)
        server.json("POST", "/v1/chat/completions", body)

    def test_a_wrong_file_changes_nothing(self):
        server = self.serve()
        self.reload(server, "[server]\nallowed_hosts = ['shop.example']\n")
        for text, word in (("[server]\nallowed_hosts = []\nprot = 1\n", "did you mean port?"),
                           ("[server\n", "realm.toml:1"),
                           ("[server]\nkeys_required = 'yes'\n", "realm key new")):
            msg = self.reload(server, text, "error", "the settings stay as they were")
            self.assertIn(word, msg)
            server.json("GET", "/v1/models", headers={"Host": "shop.example"})

    def test_flags_stay_over_the_file(self):
        server = self.serve("--allowed-hosts", "flag.example")
        self.reload(server, "[server]\nallowed_hosts = ['file.example']\n")
        server.json("GET", "/v1/models", headers={"Host": "flag.example"})
        server.json("GET", "/v1/models", headers={"Host": "file.example"}, status=421)

    def test_what_cannot_be_read_again_is_told(self):
        server = self.serve()
        self.reload(server, "[engine]\nctx = 64\n", "warn", "ctx takes effect at the next start")
        rows = self.json("config", "--json")["config"]
        marked = {r["name"] for r in rows if r["reloadable"]}
        self.assertEqual(marked, {"keys_required", "allowed_origins", "allowed_hosts", "max_body", "max_latency_ms",
                                  "drain_seconds", "stall_seconds", "log_level"})

    def test_the_level_of_the_log(self):
        server = self.serve("--log-level", "error")
        self.file.write_text("[server]\nprot = 1\n")
        server.run.send_signal(signal.SIGHUP)
        self.assertEqual(json.loads(server.run.stderr.readline())["level"], "error")  # nothing came before it
        self.file.write_text("")
        server = self.serve()
        self.reload(server, "[server]\nlog_level = 'error'\n[engine]\nctx = 64\n", "warn", "ctx takes effect")
        self.line(server, "the settings were read again")
        server.run.send_signal(signal.SIGHUP)
        self.file.write_text("[server]\nprot = 1\n")
        server.run.send_signal(signal.SIGHUP)
        self.assertEqual(json.loads(server.run.stderr.readline())["level"], "error")

    # ---- realm ps

    def servers(self):
        return self.json("ps", "--json")["servers"]

    def until(self, what):
        end = time.monotonic() + 60
        while not what():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def test_ps(self):
        done = self.realm("ps")
        self.assertEqual((done.stdout, done.stderr), ("", "no realm serve of this registry runs\n"))
        self.assertEqual(self.servers(), [])
        server = self.serve()
        row = self.servers()[0]
        self.assertEqual((row["pid"], row["address"]), (server.run.pid, f"http://127.0.0.1:{server.port}"))
        self.assertEqual((row["running"], row["waiting"], row["tokens_per_second"]), (0, 0, 0))
        self.assertEqual((row["models"], row["generated_tokens"]), ([], 0))
        self.assertGreater(row["memory"], 1 << 20)
        self.assertLess(row["uptime_seconds"], 60)
        usage = server.json("POST", "/v1/chat/completions", HELLO)["usage"]
        self.until(lambda: self.servers()[0]["generated_tokens"] >= usage["completion_tokens"])
        other = Server(self)
        self.assertEqual([r["pid"] for r in self.servers()], sorted((server.run.pid, other.run.pid)))
        text = self.realm("ps").stdout
        self.assertRegex(text, r"(?m)^ +PID +ADDRESS +MODELS +UPTIME +RUNNING +WAITING +TOK/S +MEMORY$")
        self.assertIn(f"http://127.0.0.1:{other.port}", text)
        other.stop()
        self.assertEqual([r["pid"] for r in self.servers()], [server.run.pid])
        self.assertEqual([p.stat().st_mode & 0o777 for p in (self.home / "run").iterdir()], [0o600])

    def test_ps_while_it_works(self):
        server, shown = self.serve(), threading.Event()

        def work():
            while not shown.is_set():
                server.ask("POST", "/v1/completions", {"model": "tiny", "prompt": "the", "max_tokens": 400})

        worker = threading.Thread(target=work)
        worker.start()
        try:
            self.until(lambda: self.servers()[0]["models"] == ["tiny"])
        finally:
            shown.set()
            worker.join()

    def test_ps_after_a_crash(self):
        server = Server(self)
        self.assertEqual(len(self.servers()), 1)
        left = self.home / f"run/{server.run.pid}.json"
        server.run.kill()
        server.run.communicate()
        self.assertTrue(left.exists())
        self.assertEqual(self.servers(), [])
        self.serve()
        self.assertFalse(left.exists())

    # ---- a service manager

    def test_a_service_manager_is_told(self):
        for name in (str(self.work / "notify"), f"@realm-ops-{os.getpid()}"):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
                manager.bind(name if name[0] == "/" else "\0" + name[1:])
                manager.settimeout(60)

                def heard(*words):
                    """What is told next, beside the watchdog's."""
                    for word in words:
                        while (text := manager.recv(1000).decode()) == "WATCHDOG=1":
                            pass
                        self.assertEqual(text.split("\n")[0], word)

                server = Server(self, env={"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "100000"})
                heard("READY=1")
                while manager.recv(1000) != b"WATCHDOG=1":
                    pass
                self.assertEqual(manager.recv(1000), b"WATCHDOG=1")
                server.run.send_signal(signal.SIGHUP)
                heard("RELOADING=1", "READY=1")
                self.file.write_text("[server\n")
                server.run.send_signal(signal.SIGHUP)
                heard("RELOADING=1", "READY=1")
                self.file.write_text("")
                server.run.send_signal(signal.SIGTERM)
                heard("STOPPING=1")
                server.stop()

    def test_the_unit_file(self):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str
        unit.read(ROOT / "dist/realm.service")
        service = unit["Service"]
        self.assertEqual((service["Type"], service["ExecReload"]), ("notify", "/bin/kill -HUP $MAINPID"))
        self.assertNotIn("MemoryDenyWriteExecute", service)  # guests are compiled to machine code
        self.assertEqual(service["User"], "realm")  # one that models can be imported as
        drain = next(r["value"] for r in self.json("config", "--json")["config"] if r["name"] == "drain_seconds")
        self.assertGreater(int(service["TimeoutStopSec"]), drain)

    def test_systemd_takes_the_unit_file(self):
        unit = self.work / "realm.service"
        text = (ROOT / "dist/realm.service").read_text()
        self.assertIn("ExecStart=/usr/bin/realm serve\n", text)

        def faults(text):
            unit.write_text(text.replace("/usr/bin/realm", BIN))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True, capture_output=True)
            return done.returncode, [row for row in done.stderr.splitlines() if "realm.service" in row]

        self.assertEqual(faults(text), (0, []))
        self.assertIn("WatchdogSeconds", "".join(faults(text.replace("WatchdogSec=", "WatchdogSeconds="))[1]))


if __name__ == "__main__":
    unittest.main()
