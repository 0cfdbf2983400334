"""A server that is asked to end does not wait for whoever listens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import requests

from .test_server import free_port
from .viewer import APP, ROOT, SILENT

SERVE = """
import sys
import uvicorn
from salt_monailabel.serving.server import create_app
uvicorn.run(create_app(sys.argv[2:]), port=int(sys.argv[1]))
"""


def test_a_server_ends_soon_though_somebody_follows_a_training(tmp_path: Path) -> None:
    port = free_port()
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "MONAI_LABEL_APP_DIR": str(APP),
        "MONAI_LABEL_STUDIES": str(tmp_path / "studies"),
        "MONAI_LABEL_SESSION_PATH": str(tmp_path / "sessions"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    server, address = [sys.executable, "-c", SERVE, str(port), *SILENT], f"http://127.0.0.1:{port}"
    with subprocess.Popen(server, cwd=tmp_path, env=environment) as process:
        impatient = threading.Timer(20, process.kill)
        try:
            end = time.monotonic() + 120
            task = None
            while task is None:
                assert process.poll() is None
                assert time.monotonic() < end
                with suppress(requests.ConnectionError):
                    task = requests.post(f"{address}/train/salt", json={}, timeout=60).json()
                time.sleep(0.1)
            with requests.get(f"{address}/salt/train/events", stream=True, timeout=60) as stream:
                process.terminate()
                impatient.start()
                assert "stopped with the server" in stream.text
            assert process.wait() == -signal.SIGTERM
        finally:
            impatient.cancel()
            process.kill()
