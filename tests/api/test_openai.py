#!/usr/bin/env python3
"""The pinned official client of OpenAI against realm serve: each endpoint, whole and streamed, with each parameter."""
import unittest

import bed
from chats import Chats
from formats import Formats
from others import Embeddings, Models, Responses
from texts import Texts
from tools import Tools


class OpenAI(Chats, Texts, Formats, Tools, Models, Embeddings, Responses, bed.Api):
    pass


if __name__ == "__main__":
    unittest.main(verbosity=2)
