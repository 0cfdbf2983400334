"""The adapter is as strict as PythonQt: a panel that works with it uses names that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import qt


@pytest.fixture(autouse=True)
def _application(application: object) -> None:
    """Widgets need one."""


def test_properties_are_attributes_and_methods_are_called() -> None:
    button = qt.QPushButton("Next")
    button.toolTip = "Bring the next image"
    button.enabled = False
    assert (button.text, button.toolTip, button.enabled) == ("Next", "Bring the next image", False)
    button.setText("Again")
    assert button.text == "Again"
    with pytest.raises(TypeError):
        button.text()


@pytest.mark.parametrize("name", ["txet", "setTxet", "isReallyThere"])
def test_a_name_that_does_not_exist_is_an_error(name: str) -> None:
    label = qt.QLabel()
    with pytest.raises(AttributeError):
        getattr(label, name)
    with pytest.raises(AttributeError):
        setattr(label, name, "x")
    with pytest.raises(AttributeError):
        label.connect("clocked()", print)
    with pytest.raises(AttributeError):
        getattr(qt, f"Q{name}")


def test_arguments_by_keyword_are_refused_as_pythonqt_refuses_them() -> None:
    with pytest.raises(TypeError):
        qt.QLabel("x").setText(text="y")


def test_the_panel_names_values_of_enumerations_as_pythonqt_has_them() -> None:
    sources = Path(__file__).parents[1].glob("SALTVessels/**/*.py")
    found = {source.name: re.findall(r"\bqt\.Q\w+\.[A-Z]\w+\.\w+", source.read_text("utf-8")) for source in sources}
    assert not {name: names for name, names in found.items() if names}


def test_a_slot_gets_what_it_takes_of_a_signals_arguments() -> None:
    button, heard = qt.QPushButton("x"), []
    button.checkable = True
    button.connect("toggled(bool)", heard.append)
    button.connect("toggled(bool)", lambda: heard.append("nothing"))
    button.clicked.connect(lambda checked: heard.append(checked))
    button.click()
    assert heard == [True, "nothing", True]


def test_objects_come_back_as_the_same_ones() -> None:
    parent = qt.QWidget()
    parent.setLayout(qt.QVBoxLayout())
    child = qt.QLabel("x")
    child.name = "child"
    parent.layout().addWidget(child)
    assert parent.layout().itemAt(0).widget() == child
    assert isinstance(parent.children()[-1], qt.QLabel)
    assert not isinstance(parent, qt.QLabel)
