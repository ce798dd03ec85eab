"""What flask-sock alone needs to tell every socket of a process the same: the floor that `tests.bench.live` compares with."""

from __future__ import annotations

import threading

from flask import Flask, request
from flask_sock import Sock
from simple_websocket import Server


def create() -> Flask:
    """POST /tell sends every line of the body to every open socket of /live, one after the other."""
    app, opened, lock = Flask(__name__), [], threading.Lock()  # type: ignore[var-annotated]
    sock = Sock(app)

    @sock.route("/live")
    def live(ws: Server) -> None:
        with lock:
            opened.append(ws)
        ws.receive()

    @app.post("/tell")
    def tell() -> str:
        texts = [text for text in request.get_data(as_text=True).split("\x00") if text]
        for ws in opened:
            for text in texts:
                ws.send(text)
        return str(len(opened))

    return app
