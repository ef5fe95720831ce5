#!/usr/bin/env python3
"""The same client through a LiteLLM proxy in front of realm serve: what people put between the two most often."""
import json
import os
import socket
import subprocess
import sys
import unittest
import urllib.error
import urllib.request

import bed
import openai
from chats import Chats
from formats import Formats
from live import WAIT, soon
from others import Embeddings, Responses
from texts import Texts
from tools import Tools

# Nothing of it may ask the network, nor wait and try again by itself.
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "NO_PROXY": "*", "DISABLE_ADMIN_UI": "True"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Proxy:
    def __init__(self, case):
        base = {"api_base": case.server.url + "/v1", "api_key": "none", "max_retries": 0}
        rows = [{"model_name": name, "litellm_params": {"model": kind + "/tiny", **base}}
                for name, kind in ((case.model, "openai"), (case.text_model, "text-completion-openai"))]
        config = {"model_list": rows, "litellm_settings": {"num_retries": 0, "telemetry": False},
                  "router_settings": {"num_retries": 0, "disable_cooldowns": True}}
        path = case.work / "litellm.yaml"
        path.write_text(json.dumps(config))  # which is YAML too
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self.log = case.work / "litellm.log"
        with open(self.log, "w") as log:
            self.run = subprocess.Popen(
                [sys.executable, "-B", "-c", "from litellm import run_server; run_server()", "--config", str(path),
                 "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"],
                env={**os.environ, **QUIET, "HOME": str(case.work)}, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL)

    def ready(self):
        assert self.run.poll() is None, self.log.read_text(errors="replace")[-4000:]
        try:
            with urllib.request.urlopen(self.url + "/health/readiness", timeout=WAIT) as reply:
                return reply.status == 200
        except (urllib.error.URLError, ConnectionError):
            return False

    def stop(self):
        self.run.terminate()
        try:
            self.run.wait(30)
        except subprocess.TimeoutExpired:
            self.run.kill()
            self.run.wait()


class LiteLLM(Chats, Texts, Formats, Tools, Embeddings, Responses, bed.Api):
    model, text_model = "tiny", "tiny-text"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.addClassCleanup(lambda: cls.proxy.stop())
        soon("the proxy", cls.proxy.ready)

    @classmethod
    def url(cls):
        if not hasattr(cls, "proxy"):
            cls.proxy = Proxy(cls)
        return cls.proxy.url

    def heard(self, stream):
        """The proxy puts an empty choice beside the usage, and no text where there was an empty one."""
        chunks = list(stream)
        for chunk in chunks:
            chunk.choices = [] if chunk.usage else chunk.choices
            for choice in chunk.choices:
                if hasattr(choice, "text"):
                    choice.text = choice.text or ""
        return chunks

    def respond(self, **more):
        """Of a response's parameters the proxy passes on OpenAI's alone, the seed not being one; but for what its own
        extra_body has."""
        if "extra_body" in more:
            more["extra_body"] = {"extra_body": more["extra_body"]}
        return super().respond(**more)

    def refused(self, kind, call, param=None, code=None):
        """Of a failure the proxy passes on status, sentence and parameter, not the code."""
        with self.assertRaises(kind) as got:
            call()
        self.assertTrue(got.exception.body["message"])
        if param:
            self.assertTrue(bed.names(got.exception.body["param"], param), got.exception.body)
        return got.exception

    def test_refusals(self):
        def ask(**more):
            return lambda: self.client.chat.completions.create(model=self.model, messages=self.messages, **more)

        for param, value in (("temperature", 2.1), ("top_p", 1.1)):
            self.refused(openai.BadRequestError, ask(**{param: value}), param)
        self.refused(openai.BadRequestError, ask(extra_body={"regex": "("}))

    # Not through the proxy:
    test_chat_no_such_model = None  # it knows its own list of models, and answers for it
    test_chat_request_id = None  # its own ids
    # in a stream of several choices it ends all of them with the first:
    test_chat_n = test_chat_n_with_the_rest = test_format_with_n = test_tool_n = None
    test_text_n = test_text_prompts = test_text_prompts_and_n = test_text_echo = None
    test_text_logprobs = test_text_logprobs_are_those_of_chats = None  # it leaves them out of a completion's stream
    test_text_echo_forms = test_text_echo_scores_are_those_of_drawing = test_text_echo_of_a_long_prompt = None  # likewise
    test_text_echo_as_the_harness_reads_it = test_text_echo_special_words = None
    test_text_echo_never_cuts_a_character = None  # of a stream that generates nothing it counts the text as generated
    # it says tool_calls where a whole answer, as OpenAI's, says stop:
    test_tool_named = test_tool_answers_go_back = test_tool_must_over_format = None
    test_response_parameters = None  # it asks for 16 tokens at least
    test_embedding_dimensions = test_embedding_refusals = None  # it passes dimensions on for models of OpenAI's only
    # some fields it checks or drops itself, and of some failures it makes a text:
    test_chat_refusals = test_text_refusals = test_format_refusals = test_tool_refusals = test_response_refusals = None
    test_text_stream_usage = None  # it tells the usage of a completion's stream whether asked or not
    test_format_json_schema_of_texts = None  # not a parameter of OpenAI's client for completions, which it uses


if __name__ == "__main__":
    unittest.main(verbosity=2)
