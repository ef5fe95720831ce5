"""A server for the tests of realm-load: what it answers is said by the request's "model".

It writes bytes as they are, so that answers can be wrong in every way. A behaviour is a function of
(connection, request) that answers whether the connection is kept."""
import json
import socket
import struct
import threading


def event(**members):
    return b"data: " + json.dumps(members, ensure_ascii=False).encode() + b"\n\n"


def text_event(text):
    return event(object="chat.completion.chunk", choices=[{"index": 0, "delta": {"content": text}}])


def usage(prompt, made):
    return {"prompt_tokens": prompt, "completion_tokens": made, "total_tokens": prompt + made}


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


def head(status, *fields):
    return "\r\n".join([f"HTTP/1.1 {status}", *fields, "", ""]).encode()


def counted(status, body, *fields):
    return head(status, "Content-Type: application/json", f"Content-Length: {len(body)}", *fields) + body


STREAM = head("200 OK", "Content-Type: text/event-stream", "Transfer-Encoding: chunked")
BUSY = json.dumps({"error": {"message": "too much to do", "code": 429}}).encode()


class Request:
    """One request of a connection; its number counts from 1."""

    def __init__(self, fields, body, number):
        self.fields, self.number = fields, number
        self.raw = body
        self.json = json.loads(body)
        self.n = self.json.get("max_tokens", 4)
        messages = self.json.get("messages") or [{"content": self.json.get("prompt", "")}]
        self.prompt = messages[0]["content"]
        self.prompt_tokens = len(self.prompt.split()) + 10  # as a template would have it

    def events(self, made=None, told=None):
        """A stream's events: `made` texts, a usage that tells `told`."""
        made = self.n if made is None else made
        yield event(choices=[{"index": 0, "delta": {"role": "assistant", "content": None}}])
        for i in range(made):
            yield text_event("ä" if i % 3 else f" {i}")
        yield event(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}])
        if told != 0:
            yield event(choices=[], usage=usage(self.prompt_tokens, told or made))
        yield b"data: [DONE]\n\n"


def good(link, request, **how):
    if not request.json.get("stream"):
        answer = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}}],
                  "usage": usage(request.prompt_tokens, request.n)}
        link.sendall(counted("200 OK", json.dumps(answer).encode()))
        return True
    link.sendall(STREAM)
    for data in request.events(**how):
        link.sendall(chunk(data))
    link.sendall(chunk(b""))
    return True


def pieces(link, request):
    """The same in chunks of 7 bytes, sent 5 bytes at a time."""
    data = b"".join(request.events())
    whole = STREAM + b"".join(chunk(data[i:i + 7]) for i in range(0, len(data), 7)) + chunk(b"")
    for i in range(0, len(whole), 5):
        link.sendall(whole[i:i + 5])
    return True


def to_the_end(link, request):
    link.sendall(head("200 OK", "Content-Type: text/event-stream") + b"".join(request.events()))
    return False


def cut(link, request):
    link.sendall(STREAM + chunk(text_event("a")) + b"40\r\ndata: ")
    return False


def flaky(link, request):
    """Closes kept connections in place of answering."""
    return good(link, request) if request.number == 1 else False


def error_event(link, request):
    link.sendall(STREAM + chunk(text_event("a")) + chunk(event(error={"message": "out of memory"})))
    return True


def hold(link, request):
    """One event, then nothing until the client goes."""
    link.sendall(STREAM + chunk(text_event("a")))
    while link.recv(4096):
        pass
    return False


def mute(link, request):
    while link.recv(4096):
        pass
    return False


def rst(link, request):
    """Goes without a word: closing sends RST."""
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    raise ConnectionAbortedError


def keyed(link, request):
    if request.fields.get("authorization") == "Bearer rk_1_x":
        return good(link, request)
    link.sendall(counted("401 No", b'{"error":{"message":"not authenticated"}}'))
    return True


def says(data, keep=False):
    def behave(link, request):
        link.sendall(data)
        return keep
    return behave


BEHAVIOURS = {
    "good": good, "pieces": pieces, "to_the_end": to_the_end, "cut": cut, "flaky": flaky,
    "error_event": error_event, "hold": hold, "mute": mute, "rst": rst, "keyed": keyed,
    "fewer": lambda link, r: good(link, r, told=r.n - 1),
    "more": lambda link, r: good(link, r, told=r.n + 1),
    "silent": lambda link, r: good(link, r, made=r.n - 1, told=r.n),
    "no_usage": lambda link, r: good(link, r, told=0),
    "early": lambda link, r: good(link, r, made=r.n - 2),
    "429": says(counted("429 Busy", BUSY, "Retry-After: 1"), True),
    "429_bare": says(counted("429 Busy", BUSY), True),
    "503": says(counted("503 Away", b"", "Retry-After: Fri, 01 Jan 2100 00:00:00 GMT"), True),
    "400": says(counted("400 Bad", b'{"error":{"message":"no \x1b[31msuch parameter"}}'.replace(b"\x1b", b"\\u001b")), True),
    "bad_chunk": says(STREAM + chunk(text_event("a")) + b"zz\r\n"),
    "bad_status": says(b"SSH-2.0-OpenSSH\r\n"),
    "long_header": says(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\n\r\n"),
    "many_headers": says(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n"),
    "both_lengths": says(head("200 OK", "Content-Length: 5", "Transfer-Encoding: chunked") + chunk(b"")),
    "not_stream": says(counted("200 OK", b"{}"), True),
    "bad_json": says(STREAM + chunk(b"data: {\"choices\":[}\n\n")),
    "long_event": says(STREAM + chunk(b"data: " + b"x" * (2 << 20)), False),
    "no_done": says(STREAM + chunk(text_event("a")) + chunk(b""), True),
    "behind_done": says(STREAM + chunk(b"data: [DONE]\n\n") + chunk(text_event("a")) + chunk(b""), True),
    "stray": lambda link, r: link.sendall(STREAM + chunk(b"".join(r.events())) + chunk(b"") + b"HTTP/1.1 200") or True,
}


class Server:
    """Listens from the beginning to stop(). Counts connections and requests."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}/v1"
        self.lock = threading.Lock()
        self.connections = 0
        self.requests = []
        self.seen = threading.Semaphore(0)  # released with every request
        threading.Thread(target=self.accept, daemon=True).start()

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self):
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self.serve, args=(link,), daemon=True).start()

    def serve(self, link):
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with link, link.makefile("rb") as reader:
                number = 1
                while self.one(link, reader, number):
                    number += 1
                link.shutdown(socket.SHUT_WR)
                while link.recv(4096):  # the client closes first: nothing is lost
                    pass
        except OSError:
            pass  # the client went away

    def one(self, link, reader, number):
        line = reader.readline()
        if not line:
            return False
        fields = {}
        while (field := reader.readline()) not in (b"\r\n", b""):
            name, _, value = field.decode().partition(":")
            fields[name.lower()] = value.strip()
        request = Request(fields, reader.read(int(fields["content-length"])), number)
        with self.lock:
            self.requests.append((line.decode().split()[1], request))
        self.seen.release()
        keep = BEHAVIOURS[request.json.get("model", "good")](link, request)
        return keep and fields.get("connection") != "close"
