"""From a point in space to the pixel a server is told, and from its answer back into the scene; wherever images lie."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import SimpleITK as sitk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from panels import Rig
from salt_server import SaltServer
from SALTVesselsLib.multipart import decode
from SALTVesselsLib.pixels import Picture, from_nrrd
from SALTVesselsLib.scene import volumes
from SALTVesselsLib.transport import Reply, Request, Transport
from scenes import geometries, moved, noise

pytest_plugins = ("scenes", "panels")

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
numbers = itertools.count()


class Overheard:
    """A transport that keeps what is asked of `salt_edit` and answered."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.asked: list[Request] = []
        self.answered: list[Reply] = []

    def send(self, request: Request, done: Callable[[Any], None], received: Any = None) -> Any:
        if "/infer/salt_edit" not in request.url:
            return self._transport.send(request, done, received)
        self.asked.append(request)

        def heard(reply: Any) -> None:
            self.answered.append(reply)
            done(reply)

        return self._transport.send(request, heard, received)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(geometries(), geometries(), st.sampled_from([1, 3]), st.data())
def test_a_click_in_space_reaches_the_server_as_its_pixel_and_the_mask_its_voxels(
    rig: Rig, server: SaltServer, own: np.ndarray, parent: np.ndarray, frames: int, data: st.DataObject
) -> None:
    line = Overheard(rig.line._transport)
    rig.line._transport = line
    if not rig.panel.server.usable:
        rig.connect(server.address)
        rig.until(lambda: rig.panel.server.usable)
    # Columns, rows and frames differ, and so do neighbouring pixels.
    pixels = noise(frames, 70, 90, dtype=np.uint16)
    volume = volumes.add(Picture(pixels, own, f"place {next(numbers)}", {}))
    moved(volume, parent)
    rig.panel.images.choose(volume)
    i, j, k = (data.draw(st.integers(0, size - 1)) for size in (90, 70, frames))
    inside = [data.draw(st.floats(-0.49, 0.49)) for _ in range(3)]
    rig.panel.tools.tool = "add"
    rig.panel.tools.click(volume, (parent @ FLIP @ own @ (i + inside[0], j + inside[1], k + inside[2], 1))[:3])
    rig.until(lambda: rig.case.image and not rig.panel.correct.busy)

    told = json.loads(re.search(rb'name="params"\r\n\r\n(.*?)\r\n', line.asked[-1].body).group(1))
    assert (told["foreground"], told["only_frame"]) == ([[i, j, 0]], k)
    sent = sitk.ReadImage(str(server.images / f"{rig.case.image}.nrrd"))
    assert sent.GetPixel((i, j, k)) == pixels[k, j, i]
    place = np.array(sent.TransformContinuousIndexToPhysicalPoint((float(i), float(j), float(k))))
    assert np.allclose(place, (own @ (i, j, k, 1))[:3], atol=1e-6 * max(1, np.abs(own).max()))

    answered = decode(line.answered[-1].body, line.answered[-1].headers["content-type"])["image"]
    expected = np.zeros(pixels.shape, bool)
    expected[k] = from_nrrd(answered).pixels[0] > 0
    assert expected.any()
    assert np.array_equal(rig.mask(), expected)
    rig.line._transport = line._transport
