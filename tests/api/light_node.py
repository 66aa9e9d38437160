"""A process that takes `silverback serve`'s arguments and does no more than be ready."""

from __future__ import annotations

import http.server
import os
import signal
import sys
from pathlib import Path
from types import FrameType

terms = 0


class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        never = "LIGHT_NODE_NEVER_READY" in os.environ
        self.send_response(503 if never else 200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


def end(number: int, frame: FrameType | None) -> None:
    global terms
    terms += 1
    if "LIGHT_NODE_STUBBORN" in os.environ and terms == 1:
        os.write(1, b"not yet\n")
        return
    os.write(1, b"stopped\n")
    os._exit(0)


def main() -> None:
    assert sys.argv[1] == "serve"
    options = dict(zip(sys.argv[2::2], sys.argv[3::2], strict=True))
    assert Path(options["--cluster"]).is_file()
    Path(options["--data"]).mkdir(exist_ok=True)
    signal.signal(signal.SIGTERM, end)
    http.server.ThreadingHTTPServer(("127.0.0.1", int(options["--port"])), Answer).serve_forever()


main()
