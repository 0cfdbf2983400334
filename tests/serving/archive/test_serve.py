"""`salt serve` on an archive, as its own process, driven as Slicer does."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from typer.testing import CliRunner

from salt_monailabel.cli import app
from salt_monailabel.cli.client import ServerError, server_process
from salt_monailabel.imaging import read_study, synthesize

from ...dicom import written
from .orthanc import Orthanc


def test_an_image_of_the_archive_is_outlined_and_its_label_is_in_the_archive(
    started: Callable[..., Orthanc], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orthanc = started(reader="a-secret")
    drawn, vessels, _ = synthesize(3, 96, "angiogram")
    path = written(tmp_path / "run.dcm", drawn[None, ..., 0].astype(np.uint16) * 16)
    orthanc.put(path)
    image = str(dcmread(path).SOPInstanceUID)
    for name, value in {
        "XDG_DATA_HOME": str(tmp_path / "data"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "MONAI_LABEL_DICOMWEB_USERNAME": "reader",
        "MONAI_LABEL_DICOMWEB_PASSWORD": "a-secret",
    }.items():
        monkeypatch.setenv(name, value)
    with server_process(orthanc.address, tmp_path / "log") as client:  # type: ignore[arg-type]
        assert client.next_sample("random") == image
        assert client.call("GET", "/info/").json()["datastore"]["total"] == 1
        assert client.infer("salt", image).shape == vessels.shape
        listed = {"id": image, "done": False, "mine": False, "taken": False}
        assert client.call("GET", "/salt/images").json() == {"images": [{**listed, "mine": True}]}
        (tmp_path / "shown.nrrd").write_bytes(client.call("GET", f"/salt/images/{image}").content)
        shown = np.asarray(read_study(tmp_path / "shown.nrrd").pixels)
        assert np.array_equal(shown[0, ..., 0], drawn[..., 0].astype(np.uint16) * 16)
        client.put_label(image, vessels)
        assert client.call("GET", "/salt/images").json() == {"images": [{**listed, "done": True}]}
        end = time.monotonic() + 60
        while not orthanc.drawings():
            assert time.monotonic() < end
            time.sleep(0.1)
        orthanc.kill()
        status = client.call("GET", "/info/").json()["datastore"]
        assert (status["completed"], status["archive"]["address"]) == (1, orthanc.address)
        assert client.infer("salt", image).any()
        with pytest.raises(ServerError, match="404"):
            client.infer("salt", "1.2.3")
    assert "a-secret" not in (tmp_path / "log").read_text()


def test_an_address_with_a_password_is_refused_before_it_is_shown() -> None:
    result = CliRunner().invoke(app, ["serve", "http://reader:a-secret@127.0.0.1/dicom-web"])
    assert result.exit_code == 1
    assert "MONAI_LABEL_DICOMWEB_PASSWORD" in result.output
    assert "a-secret" not in result.output
