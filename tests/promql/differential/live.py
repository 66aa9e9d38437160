"""A live Prometheus on its own folder: it gets points by remote_write and answers queries.

in   the program's path, an empty folder
out  Prometheus: `write`, `ask`; ended when the block ends
"""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cramjam
from promql.differential.dataset import Series

__all__ = ["Prometheus", "prometheus"]

STARTS_WITHIN_S = 60


class Prometheus:
    """`url` without a slash at its end."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, path: str, **parameters: str) -> dict[str, Any]:
        """The JSON answer, an error's too."""
        body = urllib.parse.urlencode(parameters).encode()
        try:
            with urllib.request.urlopen(f"{self.url}{path}", body, timeout=60) as answer:
                found: dict[str, Any] = json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                found = json.load(refused)
        return found

    def write(self, series: Sequence[Series]) -> None:
        body = b"".join(_bytes_field(1, _time_series(each)) for each in series)
        packed = bytes(cramjam.snappy.compress_raw(body))
        request = urllib.request.Request(
            f"{self.url}/api/v1/write",
            packed,
            {
                "Content-Type": "application/x-protobuf",
                "Content-Encoding": "snappy",
                "X-Prometheus-Remote-Write-Version": "0.1.0",
            },
        )
        with urllib.request.urlopen(request, timeout=60):
            pass


@contextlib.contextmanager
def prometheus(
    program: Path, folder: Path, *, features: Sequence[str] = ()
) -> Iterator[Prometheus]:
    config = folder / "prometheus.yml"
    config.write_text("storage: {tsdb: {out_of_order_time_window: 30d}}\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        str(program), f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}", "--web.enable-remote-write-receiver",
        "--storage.tsdb.retention.time=100y", "--log.level=error",
    ]  # fmt: skip
    command += [f"--enable-feature={','.join(features)}"] if features else []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            found = Prometheus(f"http://127.0.0.1:{port}")
            _wait(found, process)
            yield found
        finally:
            process.terminate()
            process.wait(30)


def _wait(server: Prometheus, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + STARTS_WITHIN_S
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}/-/ready", timeout=5):
                return
        except OSError:
            assert process.poll() is None, "Prometheus ended at once"
            assert time.monotonic() < deadline, "Prometheus is not ready"
            time.sleep(0.05)


def _varint(number: int) -> bytes:
    out = bytearray()
    number &= (1 << 64) - 1
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def _bytes_field(tag: int, held: bytes) -> bytes:
    return _varint(tag << 3 | 2) + _varint(len(held)) + held


def _time_series(series: Series) -> bytes:
    labels = b"".join(
        _bytes_field(1, _bytes_field(1, name.encode()) + _bytes_field(2, value.encode()))
        for name, value in sorted(series.labels.items())
    )
    points = b"".join(
        _bytes_field(2, b"\x09" + struct.pack("<d", value) + b"\x10" + _varint(stamp))
        for stamp, value in zip(series.timestamps.tolist(), series.values, strict=True)
    )
    return labels + points
