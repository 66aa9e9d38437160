"""vmagent scrapes two targets and writes them here; it tries zstd before it falls back."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from clients.binaries import need

WAIT_S = 30
CONFIGURATION = """\
global: {{scrape_interval: 1s, external_labels: {{replica: r1}}}}
scrape_configs:
- job_name: silverback
  static_configs: [{{targets: ['127.0.0.1:{port}']}}]
- job_name: short
  static_configs: [{{targets: ['127.0.0.1:{short}']}}]
"""


class Short(BaseHTTPRequestHandler):
    """A target of one series."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"lived 7\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_vmagent(silverback: Any, tmp_path: Path) -> None:
    program = need("vmagent")
    short = ThreadingHTTPServer(("127.0.0.1", 0), Short)
    threading.Thread(target=short.serve_forever, daemon=True).start()
    with silverback(tmp_path) as server:
        (tmp_path / "scrape.yml").write_text(
            CONFIGURATION.format(port=server.port, short=short.server_port)
        )
        flags = [
            f"-promscrape.config={tmp_path}/scrape.yml", "-httpListenAddr=127.0.0.1:0",
            f"-remoteWrite.url={server.url}/api/v1/write", "-remoteWrite.flushInterval=200ms",
            f"-remoteWrite.tmpDataPath={tmp_path}/queue",
        ]  # fmt: skip
        log = tmp_path / "vmagent.log"
        with log.open("wb") as out:
            process = subprocess.Popen([program, *flags], stdout=out, stderr=out)
        try:
            found = server.wait_for(
                'up{job="silverback"}', lambda all_: sum(map(len, all_.values())) >= 2
            )
            assert server.wait_for("lived")
            short.shutdown()
            short.server_close()
            lived = server.wait_for("lived", lambda all_: "StaleNaN" in str(all_))
        finally:
            process.terminate()
            process.wait(WAIT_S)
        (name,) = found
        assert f'"instance": "127.0.0.1:{server.port}"' in name
        assert '"replica": "r1"' in name
        assert {value for _, value in found[name]} == {1}
        (points,) = lived.values()
        assert [value for _, value in points] == [7] * (len(points) - 1) + ["StaleNaN"]
        assert "unexpected status code" not in log.read_text()
