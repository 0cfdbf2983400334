"""The panel never keeps the application waiting, and a slow server never makes it wrong."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
from clocks import MORE_THAN_ONCE, Clock
from panels import Rig
from PySide6.QtWidgets import QApplication
from salt_server import SaltServer

pytest_plugins = ("scenes", "panels", "clocks")

# Seconds of each reply.
REPLY = 2.0


@MORE_THAN_ONCE
def test_nothing_holds_the_application_while_a_slow_server_answers(
    rig: Rig, server: SaltServer, slow_proxy: Callable[[str, float], AbstractContextManager[str]], clock: Clock
) -> None:
    panel, ui = rig.panel, rig.ui
    with slow_proxy(server.address, REPLY) as address:

        def act(name: str, do: Callable[[], object], until: Callable[[], object]) -> None:
            begun = time.perf_counter()
            with clock.watching(name):
                do()
                rig.until(until)
            assert time.perf_counter() - begun > REPLY, f"{name} did not wait for the server"

        act("connect", lambda: rig.connect(address), lambda: panel.server.usable and panel.images.listed)
        rig.choose("strategyBox", "By name")
        act("next", ui.nextButton.click, lambda: rig.case and not panel.images.busy)
        act("segment", ui.segmentButton.click, lambda: not panel.segment.running)
        ui.addTool.click()
        act("click", lambda: rig.press(90, 80), lambda: not panel.correct.busy)
        act("another click", lambda: rig.press(40, 60, shift=True), lambda: not panel.correct.busy)
        ui.boxTool.click()
        act("box", lambda: rig.drag((60, 60), (120, 110)), lambda: not panel.correct.busy)
        ui.bridgeTool.click()
        act("bridge", lambda: [rig.press(*place) for place in ((30, 40), (60, 50))], lambda: not panel.correct.busy)
        ui.eraseTool.click()
        with clock.watching("erase"):
            rig.brush.stroke((90, 80), (92, 81))
        ui.previousBox.click()
        act("density", ui.densityButton.click, lambda: panel.measure.words)
        ui.profileButton.click()
        i, j = rig.inside(rig.mask())
        act("diameter", lambda: [rig.press(*place) for place in ((i, j), (i + 1, j))], lambda: not panel.measure.busy)
        act("submit", ui.submitButton.click, lambda: "submitted" in ui.messageLabel.text)
        # What was learned before is told on connecting.
        panel.learn.result = ""
        act("learn", ui.learnButton.click, lambda: panel.learn.result and not panel.learn.learning)
        words = ("version", "delivered")
        act("versions", panel.learn.roll_back, lambda: any(word in ui.messageLabel.text for word in words))
        waits = list(clock.waits)
    assert not waits


def test_thirty_quick_clicks_give_one_right_outline(
    rig: Rig, server: SaltServer, slow_proxy: Callable[[str, float], AbstractContextManager[str]]
) -> None:
    rng = np.random.default_rng(3)
    clicks = [
        (int(i), int(j), bool(shift))
        for i, j, shift in zip(*rng.integers((5, 5, 0), (187, 155, 2), (30, 3)).T, strict=True)
    ]
    rig.open(server.address, "fundus_3")
    rig.ui.segmentButton.click()
    rig.until(lambda: not rig.panel.segment.running)
    outlined = rig.mask()
    rig.ui.addTool.click()
    with slow_proxy(server.address, 0.3) as address:
        rig.connect(address)
        rig.until(lambda: rig.panel.server.usable)
        for i, j, shift in clicks:
            rig.press(i, j, shift)
            QApplication.processEvents()
        assert np.array_equal(rig.mask(), outlined), "an answer came before the last click"
        rig.idle()
    quick = rig.mask()
    assert rig.points() == (sum(not shift for *_, shift in clicks), sum(shift for *_, shift in clicks))

    # Each click is taken back for itself, and the same clicks are answered alike on a server that is not slow.
    for _ in clicks:
        rig.ui.undoButton.click()
    assert rig.points() == (0, 0)
    assert np.array_equal(rig.mask(), outlined)
    rig.connect(server.address)
    rig.until(lambda: rig.panel.server.usable)
    for i, j, shift in clicks:
        rig.press(i, j, shift)
    rig.idle()
    assert np.array_equal(rig.mask(), quick)
    assert quick[0][tuple(np.array([(j, i) for i, j, shift in clicks if not shift]).T)].mean() > 0.5


def test_clicks_that_are_answered_together_are_taken_back_one_at_a_time(
    rig: Rig, server: SaltServer, slow_proxy: Callable[[str, float], AbstractContextManager[str]]
) -> None:
    rig.open(server.address, "fundus_2")
    rig.ui.segmentButton.click()
    rig.until(lambda: not rig.panel.segment.running)
    rig.ui.addTool.click()
    masks = [rig.mask()]
    with slow_proxy(server.address, 0.3) as address:
        rig.connect(address)
        rig.until(lambda: rig.panel.server.usable)
        for place in ((20, 30), (90, 120), (150, 60)):
            rig.press(*place)
        rig.idle()
        masks.append(rig.mask())
        for left in (2, 1):
            rig.ui.undoButton.click()
            assert rig.points() == (left, 0)
            assert not rig.ui.redoButton.enabled
            rig.idle()
            assert rig.points() == (left, 0)
            masks.insert(1, rig.mask())
        assert not np.array_equal(masks[1], masks[2])
        for number in (2, 3):
            rig.ui.redoButton.click()
            assert np.array_equal(rig.mask(), masks[number])
            assert rig.points() == (number, 0)
        for number in (2, 1, 0):
            rig.ui.undoButton.click()
            assert not rig.panel.correct.busy
            assert np.array_equal(rig.mask(), masks[number])
