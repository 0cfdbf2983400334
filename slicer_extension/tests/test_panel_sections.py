"""What each section of the panel does, apart from the story."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import slicer
from panels import LAPTOP, Rig
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from salt_server import SALT, SHAPES, SaltServer
from SALTVesselsLib.keys import KEYS, Keys
from SALTVesselsLib.pixels import Picture
from SALTVesselsLib.scene import nodes, volumes
from scenes import picture
from scipy.ndimage import label

pytest_plugins = ("scenes", "panels")


@pytest.fixture
def outlined(rig: Rig, server: SaltServer) -> Rig:
    """Return a panel with an image that is outlined."""
    rig.open(server.address, "gray_2")
    rig.ui.segmentButton.click()
    rig.until(lambda: not rig.panel.segment.running)
    assert rig.mask().any()
    return rig


def test_a_box_is_outlined_anew_and_nothing_beside_it(outlined: Rig) -> None:
    before = outlined.mask()
    outlined.ui.eraseTool.click()
    outlined.ui.boxTool.click()
    drawn: list[list[tuple[int, int]]] = []

    def look() -> None:
        (box,) = slicer.util.getNodesByClass("vtkMRMLMarkupsClosedCurveNode")
        corners = slicer.util.arrayFromMarkupsControlPoints(box, world=True)
        drawn.append([volumes.pixel(outlined.case.volume, corner)[:2] for corner in corners])

    outlined.drag((120, 100), (60, 40), look)
    assert drawn == [[(120, 100), (60, 100), (60, 40), (120, 40)]]
    assert not slicer.util.getNodesByClass("vtkMRMLMarkupsClosedCurveNode"), "the box is still there"
    outlined.idle()
    changed = np.argwhere(outlined.mask()[0] != before[0])
    assert ((changed >= (40 - 1, 60 - 1)) & (changed <= (100 + 1, 120 + 1))).all()
    outlined.ui.undoButton.click()
    assert np.array_equal(outlined.mask(), before)
    outlined.drag((60, 40), (60, 90))
    assert "The box is empty" in outlined.says


def test_the_tool_that_removes_does_so_without_shift_and_adds_with_it(outlined: Rig) -> None:
    outlined.ui.removeTool.click()
    outlined.press(20, 30)
    outlined.idle()
    assert outlined.points() == (0, 1)
    outlined.press(90, 120, shift=True)
    outlined.idle()
    assert outlined.points() == (1, 1)


def test_two_clicks_close_a_gap(outlined: Rig, server: SaltServer) -> None:
    """A stretch of vessel is erased as a prediction would leave it out, and is joined again."""
    whole, line = outlined.mask(), _stretch(np.load(server.truth / "gray_2.npy")[0] > 0)
    gap = np.zeros(SHAPES["gray_2"][1:], bool)
    for i, j in line[4:-4]:
        gap[max(0, j - 6) : j + 7, max(0, i - 6) : i + 7] = True
    outlined.case.outlined("vessel", 0, whole[0] & ~gap)
    torn = outlined.mask()
    outlined.ui.bridgeTool.click()
    outlined.press(*line[0])
    assert "other side" in outlined.says
    outlined.press(*line[-1])
    outlined.idle()
    joined = outlined.mask()
    assert not _hangs_together(torn[0], line), "nothing was torn"
    assert _hangs_together(joined[0], line)
    assert not (torn & ~joined).any()
    outlined.ui.undoButton.click()
    assert np.array_equal(outlined.mask(), torn)


def _hangs_together(mask: np.ndarray, line: list[tuple[int, int]]) -> bool:
    """Say whether what lies above a vertical stretch of vessel is joined to what lies below it, along the stretch."""
    (i, top), (_, bottom) = line[0], line[-1]
    found, _ = label(mask[max(0, top - 8) : bottom + 9, max(0, i - 12) : i + 13], np.ones((3, 3)))
    return bool({*found[:5].flat} & {*found[-5:].flat} - {0})


def _stretch(vessel: np.ndarray) -> list[tuple[int, int]]:
    """Return pixels (i, j) along the longest vertical stretch inside vessels."""
    best: list[tuple[int, int]] = []
    for i in range(8, vessel.shape[1] - 8):
        rows = np.flatnonzero(vessel[:, i])
        for part in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
            if len(part) > len(best):
                best = [(i, int(j)) for j in part]
    return best[:40]


def test_what_was_erased_stays_away(outlined: Rig) -> None:
    i, j = outlined.inside(outlined.mask())
    before = outlined.mask()[0]
    outlined.ui.eraseTool.click()
    outlined.ui.brushBox.value = 7
    touched = outlined.brush.stroke((i, j)) & before
    assert not outlined.mask()[0][touched].any()
    outlined.ui.segmentButton.click()
    outlined.until(lambda: not outlined.panel.segment.running)
    assert not outlined.mask()[0][touched].any()
    outlined.ui.addTool.click()
    outlined.press(i, j)
    outlined.idle()
    assert not outlined.mask()[0][touched].any()


def test_the_outline_before_is_shown_on_demand(outlined: Rig) -> None:
    before = outlined.mask()

    def faint() -> list[slicer.vtkMRMLSegmentationNode]:
        nodes = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")
        return [node for node in nodes if node is not outlined.case.outlines.node and node.GetDisplayVisibility()]

    outlined.ui.paintTool.click()
    outlined.brush.stroke((5, 5))
    assert not faint()
    outlined.ui.previousBox.click()
    (node,) = faint()
    shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, "before", outlined.case.volume) > 0
    assert np.array_equal(shown, before)
    outlined.brush.stroke((9, 9))
    shown = slicer.util.arrayFromSegmentBinaryLabelmap(node, "before", outlined.case.volume) > 0
    assert shown[0, 5, 5]
    assert not shown[0, 9, 9]
    outlined.ui.previousBox.click()
    assert not faint()


def test_figures_and_a_diameter_are_shown_and_saved(outlined: Rig, server: SaltServer, tmp_path: Path) -> None:
    assert not outlined.ui.exportButton.enabled
    outlined.ui.densityButton.click()
    outlined.until(lambda: outlined.ui.measureLabel.text)
    share = 100 * outlined.mask().mean()
    assert f"{share:.1f} % of the area" in outlined.ui.measureLabel.text
    assert "px" in outlined.ui.measureLabel.text, "an image of unknown size has no millimetres"

    line = _stretch(outlined.mask()[0])
    outlined.ui.profileButton.click()
    outlined.press(*line[2])
    QApplication.processEvents()
    assert crosses("First place") == [line[2]]
    outlined.press(*line[-3])
    outlined.until(lambda: outlined.ui.measureLabel.text.startswith("gray_2: narrowest"))
    QApplication.processEvents()
    assert crosses("First place") == []
    (narrowest,) = crosses("Narrowest place")
    assert narrowest in {(i + across, j + along) for i, j in line for across in range(-6, 7) for along in (-1, 0, 1)}
    assert outlined.ui.profilePlot.visible
    table = outlined.panel.measure.curve.table
    assert outlined.panel.measure.curve.chart.GetXAxisTitle() == "position in px"
    assert table.GetNumberOfRows() > 10
    assert 0 < np.nanmean(slicer.util.arrayFromTableColumn(table, "diameter")) < 40

    file = tmp_path / "measurements.csv"
    outlined.user.paths = [str(file)]
    outlined.ui.exportButton.click()
    rows = list(csv.DictReader(file.open(encoding="utf-8")))
    assert [(row["image"], row["frame"]) for row in rows] == [("gray_2", "1"), ("gray_2", "1")]
    assert float(rows[0]["density"]) == pytest.approx(share / 100, abs=1e-3)
    assert rows[0]["stenosis"] == ""
    assert float(rows[1]["min_diameter"]) > 0
    outlined.user.paths = [str(tmp_path / "no" / "such" / "folder.csv")]
    outlined.ui.exportButton.click()
    assert "could not be written" in outlined.says


def crosses(name: str) -> list[tuple[int, int]]:
    """Return the pixels (i, j) at which crosses of a name are shown."""
    (node,) = (n for n in slicer.util.getNodesByClass("vtkMRMLMarkupsFiducialNode") if n.GetName() == name)
    volume = nodes.owner(node)
    places = (node.GetNthControlPointPositionWorld(number) for number in range(node.GetNumberOfControlPoints()))
    return [volumes.pixel(volume, place)[:2] for place in places]


def test_learning_can_be_stopped(outlined: Rig, server: SaltServer) -> None:
    before = outlined.panel.context.info.version
    outlined.ui.learnButton.click()
    outlined.until(lambda: outlined.panel.learn.learning)
    outlined.ui.stopButton.click()
    outlined.until(lambda: not outlined.panel.learn.learning)
    assert "was stopped" in outlined.ui.resultLabel.text
    assert outlined.says.endswith(outlined.ui.resultLabel.text)
    assert outlined.panel.context.info.version == before
    assert not outlined.ui.stopButton.enabled


def test_a_finished_image_is_opened_again_with_its_outline(rig: Rig, server: SaltServer) -> None:
    rig.open(server.address, "fundus_2")
    rig.ui.segmentButton.click()
    rig.until(lambda: not rig.panel.segment.running)
    submitted = rig.mask()
    rig.ui.submitButton.click()
    rig.until(lambda: any(image.done for image in rig.panel.images.listed if image.id == "fundus_2"))
    volume, outlines = rig.case.volume, rig.case.outlines.node
    rig.panel.scene_closes()
    for node in (outlines, volume):
        slicer.mrmlScene.RemoveNode(node)
    rig.panel.scene_opened()

    names = [image.id for image in rig.panel.images.listed]
    rig.ui.imagesBox.currentIndex = names.index("fundus_2")
    assert rig.ui.imagesBox.currentText.startswith("✓")
    rig.ui.openButton.click()
    rig.until(lambda: rig.case is not None and "as it was submitted" in rig.says)
    assert np.array_equal(rig.mask(), submitted)


def test_an_image_of_slicer_is_sent_and_outlined_in_one_go(rig: Rig, server: SaltServer) -> None:
    pixels = np.load(server.truth / "gray.npy").astype(np.float32) * -800 + 1500
    rig.connect(server.address)
    rig.until(lambda: rig.panel.server.usable and rig.panel.images.listed)
    volume = volumes.add(Picture(pixels, np.diag([0.3, 0.3, 1.0, 1.0]), "4: RAO / cranial", {}))
    volumes.show(volume)
    rig.widget.update()
    assert rig.case.volume is volume, "the image in view was not taken up"
    assert rig.ui.sendButton.enabled
    rig.ui.segmentButton.click()
    rig.until(lambda: not rig.panel.segment.running and rig.mask().any())
    assert rig.case.image == "4_RAO_cranial"
    assert not rig.ui.sendButton.enabled
    assert len(rig.user.asked) == 1
    rig.until(lambda: rig.case.image in [image.id for image in rig.panel.images.listed])


def test_keys_press_buttons_only_while_the_module_is_in_view(outlined: Rig) -> None:
    window = outlined.root._object
    window.activateWindow()
    keys = Keys(outlined.ui, lambda: outlined.panel.tools.take(""))
    keys.install(outlined.root)
    for key, tool in (("1", "add"), ("4", "bridge"), ("5", "paint")):
        QTest.keyClick(window, key)
        assert outlined.panel.tools.tool == tool
    QTest.keyClick(window, "+")
    assert outlined.ui.brushBox.value == 4
    outlined.brush.stroke((5, 5))
    painted = outlined.mask()
    QTest.keyClick(window, "z")
    assert not np.array_equal(outlined.mask(), painted)
    QTest.keyClick(window, "y")
    assert np.array_equal(outlined.mask(), painted)
    QTest.keyClick(window, Qt.Key.Key_Escape)
    assert outlined.panel.tools.tool == ""
    keys.remove()
    QTest.keyClick(window, "1")
    assert outlined.panel.tools.tool == ""


def test_the_longest_that_a_server_says_is_read_whole(outlined: Rig) -> None:
    outlined.panel.context.say("The server failed for a reason that it tells at length. " * 10, "problem")
    QApplication.processEvents()
    assert outlined.cut() == []
    assert outlined.root._object.minimumSizeHint().height() <= LAPTOP
    # A text that does not fit would be seen here.
    outlined.ui.useButton._object.setFixedWidth(12)
    QApplication.processEvents()
    assert outlined.cut() == ["Use"]


def test_after_learning_and_measuring_a_run_the_panel_still_fits_a_laptop(rig: Rig, server: SaltServer) -> None:
    """Learning itself is played, which takes a server long."""
    rig.open(server.address, "run")
    learn, measure, ui = rig.panel.learn, rig.panel.measure, rig.ui

    def shown() -> list[str]:
        rig.panel.context.changed()
        QApplication.processEvents()
        assert rig.cut() == []
        assert rig.root._object.minimumSizeHint().height() <= LAPTOP
        return [name for name in ("learnPlot", "profilePlot") if getattr(ui, name).visible]

    assert shown() == []
    learn.learning, learn.result = True, "Learning: step 3, 20 % of the time."
    assert shown() == ["learnPlot"]
    vessel = np.zeros(rig.case.shape[1:], bool)
    vessel[60:66, 10:150] = True
    rig.case.outlined("vessel", 0, vessel)
    measure.between((30, 63, 0), (120, 63, 0))
    rig.until(lambda: measure.curve is not None)
    assert shown() == ["profilePlot"]
    learn.learning = False
    learn.result = (
        "On outlines that were held back from learning, Dice went from 0.811 to 0.809. So small a difference does "
        "not count. Version v000012 is in use now."
    )
    assert shown() == ["profilePlot"]
    learn.learning = True
    assert shown() == ["learnPlot"]
    learn.learning = False
    assert shown() == ["learnPlot"]
    rig.panel.images.open("gray")
    rig.until(lambda: rig.case.image == "gray" and not rig.panel.images.busy)
    assert shown() == []
    assert ui.resultLabel.visible


def test_a_name_too_long_for_its_box_is_read_in_a_tooltip(rig: Rig) -> None:
    name = "a_name_that_is_far_too_long_for_the_panel_" * 3
    volumes.add(picture(np.zeros((1, 8, 9), np.uint8), name=name))
    rig.widget.update()
    assert rig.ui.volumeBox.itemData(0, Qt.ItemDataRole.ToolTipRole) == name


def test_each_key_is_in_the_tooltip_of_its_button(rig: Rig) -> None:
    for key, name in KEYS.items():
        if "+" not in key:
            assert f"({key})" in getattr(rig.ui, name).toolTip, name


def test_what_no_button_shows_is_in_a_tooltip(rig: Rig) -> None:
    for words in ("- and +", "Shift and the wheel", "Esc"):
        assert words in rig.ui.brushBox.toolTip
    for words in ("Dice", "Loss"):
        assert words in rig.ui.learnPlot.toolTip


def test_a_server_on_this_computer_is_started_and_stopped(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not SALT.exists():
        pytest.skip(f"{SALT} does not exist")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    images = tmp_path / "images"
    images.mkdir()
    rig.ui.localButton.click()
    assert "needs the program 'salt'" in rig.says
    rig.user.paths = [str(SALT), str(images)]
    rig.ui.localButton.click()
    assert "press to stop" in rig.ui.localButton.text
    rig.until(lambda: rig.panel.server.usable, 120)
    assert rig.ui.localButton.text == "Stop the server on this computer"
    # The next time the program is known.
    assert rig.settings["program"] == str(SALT)
    process = rig.panel.local._process._process
    rig.ui.localButton.click()
    assert rig.panel.server.state == "off"
    rig.until(lambda: process.poll() is not None)


def test_a_server_that_does_not_start_says_why(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "salt"
    program.write_text("#!/bin/sh\necho 'no weights on this computer'\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(program))
    rig.user.paths = [str(tmp_path)]
    rig.ui.localButton.click()
    rig.until(lambda: "has ended before it answered. no weights on this computer" in rig.says)
    assert rig.ui.localButton.text == "Start a server on this computer…"
