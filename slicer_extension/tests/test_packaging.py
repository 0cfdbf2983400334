"""What is installed is what was tested, and says what a radiologist understands."""

from __future__ import annotations

import ast
import json
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

EXTENSION = Path(__file__).parents[1]
MODULE = EXTENSION / "SALTVessels"
UI = MODULE / "Resources" / "UI" / "SALTVessels.ui"
SOURCES = sorted(MODULE.rglob("*.py"))
# What Slicer brings, and nothing else; the standard library aside.
BROUGHT = {"qt", "ctk", "slicer", "vtk", "numpy", "SimpleITK", "requests", "urllib3", "SampleData", "SALTVesselsLib"}
JARGON = re.compile(r"\b(adapter|embedding|inference|tensor|checkpoint|payload|endpoint|epoch)s?\b", re.IGNORECASE)


def test_everything_is_installed_and_nothing_else_is_listed() -> None:
    listed = (MODULE / "CMakeLists.txt").read_text().replace("${MODULE_NAME}", "SALTVessels")
    installed = set(re.findall(r"^  (\S+\.\w+)$", listed, re.MULTILINE))
    present = {path.relative_to(MODULE).as_posix() for path in (*SOURCES, *(MODULE / "Resources").rglob("*.*"))}
    assert installed == present
    assert "WITH_GENERIC_TESTS" in listed
    assert "slicer_add_python_unittest(SCRIPT SALTVessels.py)" in listed


def test_the_catalogue_entry_is_what_the_index_wants() -> None:
    entry = json.loads((EXTENSION / "SALTVessels.json").read_text())
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert (entry["category"], entry["tier"]) == ("Segmentation", 1)
    allowed = {"$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies", "build_subdirectory",
               "enabled", "tier"}  # fmt: skip
    assert {"$schema", "category", "scm_url"} <= entry.keys() <= allowed


def test_the_icon_is_a_picture_of_128_pixels() -> None:
    header = (MODULE / "Resources" / "Icons" / "SALTVessels.png").read_bytes()[:24]
    assert header.startswith(b"\x89PNG")
    assert struct.unpack(">II", header[16:24]) == (128, 128)


def test_only_what_slicer_brings_is_imported() -> None:
    for source in SOURCES:
        for node in ast.walk(ast.parse(source.read_text("utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                package = name.split(".")[0]
                assert package in BROUGHT | sys.stdlib_module_names, f"{source.name} imports {name}"


def test_qt_is_used_in_few_files() -> None:
    users = {source.name for source in SOURCES if re.search(r"^import qt$", source.read_text("utf-8"), re.MULTILINE)}
    assert users == {"application.py", "keys.py", "qt_transport.py", "widget.py"}


def test_each_button_says_what_it_does() -> None:
    for widget in ElementTree.parse(UI).iter("widget"):
        if widget.get("class") in ("QPushButton", "QToolButton", "QCheckBox", "QComboBox", "QSpinBox"):
            tip = widget.findtext("property[@name='toolTip']/string")
            assert tip, f"{widget.get('name')} has no tooltip"


def test_no_colour_is_fixed() -> None:
    text = UI.read_text("utf-8")
    assert not re.search(r"<color|<palette|styleSheet|#[0-9a-f]{6}", text, re.IGNORECASE)
    for source in SOURCES:
        assert not re.search(r"['\"]#[0-9a-f]{6}|QColor", source.read_text("utf-8")), source.name


def test_no_jargon_reaches_the_user() -> None:
    shown = [element.text or "" for element in ElementTree.parse(UI).iter("string")]
    for source in (*MODULE.glob("SALTVesselsLib/workflow/*.py"), MODULE / "SALTVesselsLib" / "widget.py"):
        shown += list(_words(source))
    page = EXTENSION / "docs" / "radiologist.md"
    shown.append(page.read_text("utf-8"))
    for text in shown:
        found = JARGON.search(text)
        assert not found, f"'{found.group()}' in: {text[:200]}"


def _words(source: Path) -> Iterator[str]:
    """Yield a file's texts of several words, its docstrings aside."""
    tree = ast.parse(source.read_text("utf-8"))
    holders = (ast.Module, ast.ClassDef, ast.FunctionDef)
    documented = {
        id(node.body[0].value) for node in ast.walk(tree) if isinstance(node, holders) and ast.get_docstring(node)
    }
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documented
        if is_text and " " in node.value:
            yield node.value
