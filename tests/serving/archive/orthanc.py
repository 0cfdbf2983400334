"""A real archive on this computer: Orthanc with its DICOMweb plugin, as Debian packages them."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import requests

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
MISSING = "" if Path(PROGRAM).exists() and PLUGIN.exists() else "needs the packages orthanc and orthanc-dicomweb"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Orthanc:
    """An Orthanc with a folder of its own, on a free port of this computer alone; no DICOM port is opened."""

    def __init__(self, folder: Path, users: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        self.root = f"http://127.0.0.1:{self.port}"
        self.address = f"{self.root}/dicom-web"
        self._folder = folder
        self._user = next(iter(users.items())) if users else None
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "storage").mkdir(parents=True)
        configuration = {
            "StorageDirectory": str(folder / "storage"),
            "IndexDirectory": str(folder / "storage"),
            "Plugins": [str(PLUGIN)],
            "HttpPort": self.port,
            "DicomServerEnabled": False,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": bool(users),
            "RegisteredUsers": dict(users or {}),
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "EnableWado": False},
        }
        (folder / "orthanc.json").write_text(json.dumps(configuration))

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with open(self._folder / "orthanc.log", "ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, str(self._folder / "orthanc.json")], stdout=log, stderr=subprocess.STDOUT
            )
        end = time.monotonic() + 60
        while self._process.poll() is None and time.monotonic() < end:
            try:
                self.ask("GET", "/system")
                return
            except requests.ConnectionError:
                time.sleep(0.05)
        raise RuntimeError((self._folder / "orthanc.log").read_text()[-2000:])

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def put(self, file: Path) -> None:
        """Store a DICOM file."""
        self.ask("POST", "/instances", data=file.read_bytes())

    def remove(self, uid: str) -> None:
        """Remove an instance."""
        for found in self.ask("POST", "/tools/lookup", data=uid).json():
            self.ask("DELETE", f"/instances/{found['ID']}")

    def drawings(self) -> list[str]:
        """Return the UIDs of the segmentations it has."""
        query = {"Level": "Instance", "Query": {"Modality": "SEG"}, "Expand": True}
        found = self.ask("POST", "/tools/find", json=query).json()
        return [instance["MainDicomTags"]["SOPInstanceUID"] for instance in found]

    def ask(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Ask Orthanc's own interface."""
        reply = requests.request(method, self.root + path, auth=self._user, timeout=30, **arguments)
        reply.raise_for_status()
        return reply
