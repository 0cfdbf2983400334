"""A curve is a table and a chart that stay the same nodes while they grow."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
from SALTVesselsLib.scene.charts import Curve

pytest_plugins = ("scenes",)


def columns(curve: Curve) -> dict[str, list[float]]:
    table = curve.table
    return {
        table.GetColumnName(number): slicer.util.arrayFromTableColumn(table, table.GetColumnName(number)).tolist()
        for number in range(table.GetNumberOfColumns())
    }


def test_points_are_added_to_the_same_table(scene: slicer.vtkMRMLScene) -> None:
    curve = Curve("Learning", "images", "before", "after")
    table, chart = curve.table, curve.chart
    assert columns(curve) == {"images": [], "before": [], "after": []}
    curve.add(1, 0.75, 0.8)
    curve.add(2, float("nan"), 0.82)
    assert curve.table is table
    assert curve.chart is chart
    assert columns(curve)["images"] == [1, 2]
    assert columns(curve)["after"] == [0.8, 0.82]
    assert np.isnan(columns(curve)["before"][1])
    curve.reset()
    assert columns(curve) == {"images": [], "before": [], "after": []}


def test_the_chart_draws_each_line_over_the_first_column(scene: slicer.vtkMRMLScene) -> None:
    chart = Curve("Learning", "images", "before", "after").chart
    series = [chart.GetNthPlotSeriesNode(number) for number in range(chart.GetNumberOfPlotSeriesNodes())]
    assert [(line.GetXColumnName(), line.GetYColumnName()) for line in series] == [
        ("images", "before"),
        ("images", "after"),
    ]
    assert series[0].GetColor() != series[1].GetColor()
    assert (chart.GetTitle(), chart.GetXAxisTitle()) == ("Learning", "images")


def test_a_profile_is_replaced_as_a_whole(scene: slicer.vtkMRMLScene) -> None:
    curve = Curve("Diameter", "position (mm)", "diameter (mm)")
    curve.put([0, 1, 2], [3, 2, 3])
    curve.put([0, 1], [4, 4])
    assert columns(curve) == {"position (mm)": [0, 1], "diameter (mm)": [4, 4]}


def test_a_curve_is_found_again_with_its_points(scene: slicer.vtkMRMLScene) -> None:
    curve = Curve("Diameter", "position", "diameter")
    curve.add(1, 2)
    count = scene.GetNumberOfNodes()
    again = Curve("Diameter", "position", "diameter")
    assert again.table is curve.table
    assert scene.GetNumberOfNodes() == count
    assert columns(again) == {"position": [1], "diameter": [2]}


def test_other_columns_under_a_known_title_begin_anew(scene: slicer.vtkMRMLScene) -> None:
    curve = Curve("Diameter", "position (mm)", "diameter (mm)")
    curve.add(1, 2)
    again = Curve("Diameter", "position (pixels)", "diameter (pixels)")
    assert again.table is curve.table
    assert columns(again) == {"position (pixels)": [], "diameter (pixels)": []}
    assert again.chart.GetNumberOfPlotSeriesNodes() == 1
    assert again.chart.GetXAxisTitle() == "position (pixels)"


def test_values_that_do_not_fit_the_lines_are_refused(scene: slicer.vtkMRMLScene) -> None:
    curve = Curve("Diameter", "position", "diameter")
    with pytest.raises(ValueError, match="do not fit"):
        curve.put([1, 2], [1])
    with pytest.raises(ValueError, match="longer"):
        curve.add(1, 2, 3)
