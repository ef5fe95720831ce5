"""run: replies, limits, failures, Ctrl-C; everything through real guests and the tiny model."""
import os
import pathlib
import signal
import subprocess
import time

import house

HELLO, STREAM = house.GUESTS / "hello.wasm", house.GUESTS / "stream.wasm"


def leb(n):
    out = bytearray()
    while True:
        byte, n = n & 127, n >> 7
        out.append(byte | (128 if n else 0))
        if not n:
            return bytes(out)


def module(body, pages=1):
    """A module with one page of memory and `run() -> i32` of these instructions."""
    def section(number, payload):
        return bytes([number]) + leb(len(payload)) + payload

    def name(text):
        return leb(len(text)) + text.encode()

    code = b"\0" + body + b"\x0b"
    return (b"\0asm\1\0\0\0" + section(1, b"\1\x60\0\1\x7f") + section(3, b"\1\0")
            + section(5, b"\1\0" + leb(pages))
            + section(7, b"\2" + name("memory") + b"\2\0" + name("run") + b"\0\0")
            + section(10, b"\1" + leb(len(code)) + code))


FOREVER = module(b"\x03\x40\x0c\x00\x0b\x41\x00")       # loop br 0 end i32.const 0
GROWS = module(b"\x41\x80\x80\x01\x40\x00\x41\x00\x4b")  # memory.grow 16384 > 0 (unsigned): 1
TRAPS = module(b"\x00")                                  # unreachable
SEVEN = module(b"\x41\x07")                              # i32.const 7
FINE = module(b"\x41\x00")


class Run(house.Case):
    def guest(self, wasm):
        path = self.work / "guest.wasm"
        path.write_bytes(wasm)
        return path

    def test_stdout_is_the_reply_and_nothing_else(self):
        args = ["run", HELLO, "--model", "tiny", "--prompt", "the people", "--max-tokens", "600"]
        done = self.realm(*args)
        self.assertGreater(len(done.stdout), 10)
        self.assertNotIn("realm", done.stdout)
        self.assertRegex(done.stderr, r"^realm: .*load .*prompt \d+ tokens at .*/s, decode \d+ tokens at .*/s, "
                                      r"guest .* CPU per token\n$")
        self.assertEqual(self.realm(*args, "--quiet").stderr, "")

    def test_the_prompt_may_come_from_standard_input(self):
        a = self.realm("run", STREAM, "--model", "tiny", "--prompt", "the people")
        b = self.realm("run", STREAM, "--model", "tiny", input="the people")
        self.assertGreater(len(a.stdout), 0)
        self.assertGreater(len(b.stdout), 0)

    def test_a_file_as_model(self):
        by_name = self.realm("run", HELLO, "--model", "tiny", "--prompt", "the", "-q").stdout
        by_file = self.realm("run", HELLO, "--model", house.TINY, "--prompt", "the", "-q").stdout
        self.assertEqual(by_name, by_file)

    def test_without_a_model(self):
        self.assertEqual(self.realm("run", self.guest(FINE), "-q").stdout, "")
        self.refused("run", HELLO, "--prompt", "x", "-q", words=["--model NAME"])
        err = self.realm("run", self.guest(FINE)).stderr
        self.assertRegex(err, r"^realm: [^:,]*: guest [^,]* CPU\n$")  # nothing about tokens

    def test_unknown_model_and_program(self):
        self.refused("run", HELLO, "--model", "nope", "--prompt", "x", words=["no model is named nope", "tiny"])
        self.refused("run", self.work / "none.wasm", "--model", "tiny", words=["none.wasm"])
        self.refused("run", self.guest(b"no wasm"), "--model", "tiny", "--prompt", "x", words=["guest.wasm: "])

    def test_failures_of_the_program(self):
        self.assertIn("7", self.realm("run", self.guest(SEVEN), "-q", code=1).stderr)
        self.assertIn("trap", self.realm("run", self.guest(TRAPS), "-q", code=1).stderr)

    def test_each_limit_has_its_sentence(self):
        forever = self.guest(FOREVER)
        args = ["run", STREAM, "--model", "tiny", "--prompt", "the", "-q"]

        def sentence(words, *args):
            self.assertEqual(self.realm(*args, "-q", code=1).stderr, f"realm: {words}\n")

        sentence("CPU limit of 300 ms reached; raise it with --max-cpu TIME", "run", forever, "--max-cpu", "300ms")
        sentence("time limit of 300 ms reached; raise it with --max-time TIME",
                 "run", forever, "--max-time", "300ms")
        sentence("token limit of 5 tokens reached; raise it with --max-tokens N", *args, "--max-tokens", "5")
        sentence("output limit of 10 bytes reached; raise it with --max-output SIZE", *args, "--max-output", "10B")
        err = self.realm("run", self.guest(GROWS), "--max-memory", "1MiB", "-q", code=1).stderr
        self.assertRegex(err, r"^realm: memory limit of 1048576 bytes reached: .*; raise it with --max-memory SIZE\n$")
        wide = self.guest(module(b"\x41\x00", pages=64))
        sentence(f"{wide} begins with 4.00 MiB of memory, over the limit of 1.00 MiB; raise it with --max-memory SIZE",
                 "run", wide, "--max-memory", "1MiB")

    def test_other_options_reach_the_engine(self):
        args = ["run", HELLO, "--model", "tiny", "--prompt", "the", "-q"]
        for more in (["-t", "1"], ["--kv", "f32"], ["--ctx", "600"], ["--kv-memory", "64MiB"], ["--reference"]):
            self.assertGreater(len(self.realm(*args, *more).stdout), 0)

    def test_layers_can_be_refused(self):
        args = ["run", house.GUESTS / "layers.wasm", "--model", "tiny", "--prompt", "the", "-q"]
        self.realm(*args)
        self.assertIn("--no-layers", self.realm(*args, "--no-layers", code=1).stderr)

    def test_a_full_disk_or_closed_pipe_is_no_success(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([house.BIN, "run", HELLO, "--model", "tiny", "--prompt", "the", "-q"],
                                  env=self.env, stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot write", done.stderr)


def wait_for_handler(pid):
    """Until the process catches SIGINT: what comes earlier is not about Realm."""
    for _ in range(6000):
        try:
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
        except FileNotFoundError:
            return
        mask = int(next(x for x in status.splitlines() if x.startswith("SigCgt")).split()[1], 16)
        if mask & (1 << (signal.SIGINT - 1)):
            return
        time.sleep(0.01)


class Interrupt(house.Case):
    def interrupted(self, *args, wait=0.5, presses=1):
        run = subprocess.Popen([house.BIN, *map(str, args)], env=self.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
        wait_for_handler(run.pid)
        for _ in range(presses):
            time.sleep(wait)
            os.killpg(run.pid, signal.SIGINT)
        out, err = run.communicate(timeout=60)
        self.assertEqual(run.returncode, 130, err)
        return out.decode(), err.decode()

    def test_a_run_stops(self):
        forever = self.work / "forever.wasm"
        forever.write_bytes(FOREVER)
        _, err = self.interrupted("run", forever, "--max-cpu", "60s")
        self.assertIn("realm: stopped", err)

    def test_a_generating_run_stops(self):
        loop = self.work / "loop.wasm"
        loop.write_bytes(FOREVER)
        self.interrupted("run", STREAM, "--model", "tiny", "--prompt", "the", "--reference", wait=0.0)

    def test_bench_stops(self):
        out, err = self.interrupted("bench", "tiny", "-r", "1000", "-b", "0", "-n", "1000")
        self.assertEqual((out, err), ("", "realm: stopped\n"))

    def test_at_once_after_the_second(self):
        self.interrupted("bench", "tiny", "-r", "1000", "-b", "0", "-n", "1000", wait=0.01, presses=2)

    def test_perplexity_stops(self):
        text = self.work / "text.txt"
        text.write_text("the people of the world " * 200000)
        self.interrupted("perplexity", "tiny", "-f", text, wait=1.0)


if __name__ == "__main__":
    house.main()
