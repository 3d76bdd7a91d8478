"""A model behind HTTP: it may run on another machine, in another environment, in another language.

``python http_model.py`` serves one, on port 8765. ``hmbench eval --model http_model:HttpModel``, from this folder, asks
it. What travels is a ``.npz`` of the prompt, and a ``.npz`` with ``frames`` back.
"""

import http.server
import io
import urllib.request

import numpy as np


class HttpModel:
    """Asks a server. Its options: ``--option url=http://host:port``."""

    def __init__(self, url: str = "http://localhost:8765", timeout: float = 600.0):
        self.url, self.timeout = url, timeout

    def generate(self, prompt, *, seed):
        body = io.BytesIO()
        np.savez(
            body,
            context=prompt.context,
            context_poses=prompt.context_poses,
            target_poses=prompt.target_poses,
            caption=np.array(prompt.caption),
            fps=np.array(prompt.fps),
            seed=np.array(seed),
        )
        request = urllib.request.Request(self.url, body.getvalue(), {"Content-Type": "application/octet-stream"})
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            return np.load(io.BytesIO(answer.read()), allow_pickle=False)["frames"]


class Serve(http.server.BaseHTTPRequestHandler):
    """The other end. Put your model where the last frame is repeated."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        prompt = np.load(io.BytesIO(body), allow_pickle=False)
        frames = np.repeat(prompt["context"][-1:], len(prompt["target_poses"]), axis=0)
        answer = io.BytesIO()
        np.savez(answer, frames=frames)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer.getvalue())

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("localhost", 8765), Serve).serve_forever()
