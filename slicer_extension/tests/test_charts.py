"""A curve is a table and a chart that stay the same nodes while they grow."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import slicer
import vtk
from plot_view import PlotView
from PySide6.QtGui import QImage
from SALTVesselsLib.scene.charts import Curve
from vtk.util.numpy_support import vtk_to_numpy

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


def drawn_by_vtk(curve: Curve) -> np.ndarray:
    """Return a picture, (rows, columns, 3), of the curve's table as the chart under Slicer's plot view draws it."""
    view, chart = vtk.vtkContextView(), vtk.vtkChartXY()
    view.GetRenderWindow().SetOffScreenRendering(True)
    view.GetRenderWindow().SetSize(300, 200)
    view.GetScene().AddItem(chart)
    plot = chart.AddPlot(vtk.vtkChart.LINE)
    plot.SetInputData(curve.table.GetTable(), 0, 1)
    plot.SetColor(255, 0, 0, 255)
    view.GetRenderWindow().Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(view.GetRenderWindow())
    grab.ReadFrontBufferOff()
    grab.Update()
    return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(200, 300, 3)


def drawn_by_stand_in(curve: Curve) -> np.ndarray:
    """Return a picture, (rows, columns, 3), as the panel's tests and pictures have it."""
    view = PlotView()
    view.resize(300, 200)
    view.show_chart(curve.chart)
    picture = view.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    return (
        np.frombuffer(picture.constBits(), np.uint8).reshape(200, picture.bytesPerLine())[:, :900].reshape(200, 300, 3)
    )


@pytest.mark.parametrize("draw", [drawn_by_vtk, drawn_by_stand_in])
def test_where_a_diameter_is_missing_the_line_is_broken(
    draw: Callable[[Curve], np.ndarray], scene: slicer.vtkMRMLScene, application: object
) -> None:
    curve, diameters = Curve("Diameter", "position", "diameter"), np.array([3.0, 4.0] * 6)
    curve.put(range(12), diameters)
    whole = coloured(draw(curve))
    diameters[4:8] = np.nan
    curve.put(range(12), diameters)
    broken = coloured(draw(curve))
    # Two pixels wide, a line has some in each column that it goes through.
    assert np.diff(whole).max() < 3
    assert np.diff(broken).max() == pytest.approx(np.ptp(whole) * 5 / 11, abs=6)


def coloured(picture: np.ndarray) -> np.ndarray:
    """Return the columns of a picture, right of the axis, in which something is neither black, gray nor white."""
    return np.flatnonzero((np.ptp(picture[:, 34:].astype(int), axis=-1) > 60).any(axis=0))
