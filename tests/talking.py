"""An OpenAI-compatible server on loopback, whose model is a function."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    """`answers` makes an answer of the messages, a number being a status; `failures` are the first requests' statuses.

    `seen` has each request: (path, authorization, what was told).
    """

    daemon_threads = True

    def __init__(self, answers=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers, self.failures, self.seen = answers, [], []
        self.address = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def __enter__(self):
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        return self

    def __exit__(self, *problem):
        self.shutdown()
        self.server_close()
        self.thread.join()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as vLLM's and llama.cpp's servers do

    def log_message(self, *words):
        pass

    def do_POST(self):
        server = self.server
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        server.seen.append((self.path, self.headers.get("Authorization"), told))
        said = server.failures.pop(0) if server.failures else server.answers(told["messages"])
        status = said if isinstance(said, int) else 200
        body = {"choices": [{"message": {"content": said}}]}
        if status != 200:
            body = {"error": "the model's context length is only 64 tokens" if status == 400 else "no"}
        whole = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(whole)))
        self.end_headers()
        self.wfile.write(whole)
