"""What is lost, or stored twice, between a server and an archive that both are killed again and again: nothing may be.

A real Orthanc holds small angiograms. `salt serve` on it is given a label for each; now and then the archive is killed,
in the middle of storing if chance has it so, and comes back seconds later; now and then the server is. In the end the
archive must have one segmentation for each label that was acknowledged, and another computer, with nothing fetched yet,
must find in them the labels as they were submitted, to the pixel. Then the images become many, and are listed.

Run as `python -m benchmarks.archive`, with Debian's packages orthanc and orthanc-dicomweb.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import dcmread, dcmwrite
from pydicom.filebase import DicomBytesIO
from pydicom.uid import generate_uid

from salt_monailabel.cli.client import Client, server_process
from salt_monailabel.imaging import read_mask, read_study
from salt_monailabel.serving.archive.client import Archive
from salt_monailabel.serving.archive.datastore import ArchiveDatastore
from salt_monailabel.serving.datastore import FINAL
from tests.dicom import written
from tests.serving.archive.orthanc import Orthanc

SIDE = 64
SEARCHES = [{"Modality": "XA"}]
# Of the many images that are listed.
PATIENT = "many"


def main() -> None:
    """Label, kill, compare and list, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--kills", type=int, default=12, help="of the archive; of the server, a quarter of them")
    parser.add_argument("--listed", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "archive.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # The server's cache and app.
        os.environ |= {"XDG_CACHE_HOME": str(folder / "cache"), "XDG_DATA_HOME": str(folder / "data")}
        orthanc = Orthanc(folder / "orthanc")
        orthanc.start()
        try:
            rng = np.random.default_rng(arguments.seed)
            masks = {uid: rng.random((SIDE, SIDE)) < 0.2 for uid in _fill(orthanc, folder, arguments.images)}
            result = _submit(orthanc, folder, masks, arguments.kills, random.Random(arguments.seed))
            result |= _compare(orthanc, folder, masks)
            _multiply(orthanc, folder, arguments.listed)
            result["listing"] = _list(orthanc, folder)
        finally:
            orthanc.kill()
    print(json.dumps(result, indent=1))
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")


def _fill(orthanc: Orthanc, folder: Path, count: int) -> list[str]:
    uids = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 4096, (1, SIDE, SIDE)).astype(np.uint16)
        path = written(folder / "image.dcm", pixels)
        orthanc.put(path)
        uids.append(str(dcmread(path).SOPInstanceUID))
    return uids


def _submit(
    orthanc: Orthanc, folder: Path, masks: dict[str, np.ndarray], kills: int, rng: random.Random
) -> dict[str, Any]:
    """Submit all labels; kill the archive, and sometimes the server, right after some of them."""
    waiting = list(masks)
    fatal = set(rng.sample(waiting, kills))
    times: list[float] = []
    counts = {"archive": 0, "server": 0}
    while waiting:
        with server_process(orthanc.address, folder / "log") as client:  # type: ignore[arg-type]
            while waiting:
                uid = waiting.pop(0)
                # The image is looked at first, as whoever labels it does.
                client.call("GET", f"/datastore/image?image={uid}")
                times.append(_timed(lambda uid=uid: client.put_label(uid, masks[uid])))
                if uid not in fatal:
                    continue
                time.sleep(rng.uniform(0.0, 0.05))
                orthanc.kill()
                counts["archive"] += 1
                if counts["archive"] % 4 == 0:
                    assert client.process is not None
                    os.killpg(client.process, signal.SIGKILL)
                    counts["server"] += 1
                    orthanc.start()
                    break
                time.sleep(rng.uniform(0.0, 2.0))
                orthanc.start()
            if not waiting:
                left = _until(lambda: _state(client)["waiting"] == 0)
    drawings = orthanc.drawings()
    p50, p99 = (round(1000 * float(np.percentile(times, p)), 1) for p in (50, 99))
    return {
        "labels submitted": len(times),
        "kills": counts,
        "segmentations in the archive": len(drawings),
        "a submission is acknowledged in": {"p50_ms": p50, "p99_ms": p99},
        "seconds until the last was stored": round(left, 1),
    }


def _compare(orthanc: Orthanc, folder: Path, masks: dict[str, np.ndarray]) -> dict[str, Any]:
    """Open the archive on another computer, and compare what comes."""
    started = time.perf_counter()
    store = ArchiveDatastore(Archive(orthanc.address), ["vessel"], folder / "other", SEARCHES, 10**9)
    _until(lambda: len(store.get_labeled_images()) == len(masks))
    seconds = time.perf_counter() - started
    equal = 0
    for uid, mask in masks.items():
        found = read_mask(store.get_label_uri(uid, FINAL), read_study(store.get_image_uri(uid)))
        equal += np.array_equal(found[0] > 0, mask)
    store.close()
    return {"labels found by another computer, equal to the pixel": equal, "seconds it took": round(seconds, 1)}


def _multiply(orthanc: Orthanc, folder: Path, count: int) -> None:
    data = dcmread(folder / "image.dcm")
    data.PatientID = PATIENT
    for number in range(count):
        if number % 10 == 0:
            data.StudyInstanceUID, data.SeriesInstanceUID = generate_uid(), generate_uid()
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        content = DicomBytesIO()
        dcmwrite(content, data)
        orthanc.ask("POST", "/instances", data=content.getvalue())


def _list(orthanc: Orthanc, folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    store = ArchiveDatastore(
        Archive(orthanc.address), ["vessel"], folder / "third", [{**SEARCHES[0], "PatientID": PATIENT}], 10**9
    )
    _until(lambda: store.catalogue.complete)
    seconds = time.perf_counter() - started
    fetched = len(list((store.folder / "studies").glob("*.dcm")))
    times = [_timed(lambda uid=uid: store.get_image_uri(uid)) for uid in store.list_images()[:50]]
    store.close()
    return {
        "images": len(store.list_images()),
        "seconds": round(seconds, 1),
        "fetched meanwhile": fetched,
        "then an image is fetched in": {"p50_ms": round(1000 * float(np.median(times)), 1)},
    }


def _state(client: Client) -> dict[str, Any]:
    return dict(client.call("GET", "/datastore/").json()["archive"])


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _until(holds: Callable[[], bool], seconds: float = 600) -> float:
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > seconds:
            raise TimeoutError("it did not come about")
        time.sleep(0.1)
    return time.monotonic() - started


if __name__ == "__main__":
    main()
