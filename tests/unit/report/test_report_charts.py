"""Charts: the screen and the print show the same data, and nothing by colour alone."""

import json

import numpy as np
import pytest

from glcm_mae.figures import PALETTE, save_figure
from glcm_mae.report.charts import Axis, Bars, Chart, Dots, Line, Panel
from glcm_mae.report.drawing import draw_chart, draw_matrix
from glcm_mae.report.interactive import panel_plot, symbol
from glcm_mae.report.legend import legend_html

LINE = Line([0.0, 1.0], [0.2, 0.4], "ours", 0, low=[0.1, 0.3], high=[0.3, 0.5])
DOTS = Dots([1.0, 2.0], [3.0, 4.0], "theirs", 1, [0.5, 1.0], [1.5, 4.0], "x")
BARS = Bars([0.0, 1.0], [5.0, 6.0], "images", 2, low=[4.0, 5.0], high=[6.0, 8.0])
SPOKES = Line([0.0, 1.0, 2.0], [1.0, 0.5, 0.7], "ours", 0)


def test_limits_become_a_band_and_bars_of_error() -> None:
    data = panel_plot(Panel("", [LINE, DOTS, BARS]))["data"]
    band, line, dots, bars = data
    assert band["y"] == [0.3, 0.5, 0.3, 0.1]
    assert line["y"] == [0.2, 0.4]
    assert dots["error_x"]["array"] == [0.5, 2.0]
    assert dots["error_x"]["arrayminus"] == [0.5, 1.0]
    assert bars["error_y"]["array"] == [1.0, 2.0]
    json.dumps(data, allow_nan=False)


def test_systems_differ_by_more_than_colour() -> None:
    assert len({symbol(role) for role in range(7)}) == 7
    lines = [Line([0], [0], str(role), role, role) for role in range(4)]
    strokes = [trace["line"]["dash"] for trace in panel_plot(Panel("", lines))["data"]]
    assert len(set(strokes)) == 4


def test_print_shows_the_same_data() -> None:
    figure = draw_chart(Chart("two", "", "", [Panel("a", [LINE]), Panel("b", [DOTS])]))
    first, second = figure.axes
    assert first.get_lines()[0].get_ydata().tolist() == [0.2, 0.4]
    assert first.get_lines()[0].get_color() == PALETTE[0]
    segments = second.containers[0][2][0].get_segments()
    assert [part[:, 0].tolist() for part in segments] == [[0.5, 1.5], [1.0, 4.0]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["ours", "theirs"]


def test_a_radar_closes_on_screen_and_in_print() -> None:
    spokes = Axis("", None, [0.0, 1.0, 2.0], ["contrast", "sum entropy", "correlation"])
    panel = Panel("radar", [SPOKES], spokes, Axis(), "radar")
    trace = panel_plot(panel)["data"][0]
    assert trace["r"] == [1.0, 0.5, 0.7, 1.0]
    assert trace["theta"][0] == trace["theta"][-1] == "contrast"
    axes = draw_chart(Chart("radar", "", "", [panel])).axes[0]
    assert axes.name == "polar"
    assert axes.get_lines()[0].get_ydata().tolist() == [1.0, 0.5, 0.7, 1.0]


def test_a_missing_limit_reaches_nowhere() -> None:
    dots = Dots([1.0], [0.0], "one", 0, [1.0], [float("nan")], "x")
    bars = draw_chart(Chart("one", "", "", [Panel("", [dots])])).axes[0].containers[0][2][0]
    assert bars.get_segments()[0][:, 0].tolist() == [1.0, 1.0]


def test_one_name_needs_no_legend_and_thin_lines_have_none() -> None:
    thin = Line([0], [0], "a fold", 0, thin=True)
    assert legend_html(Chart("one", "", "", [Panel("", [LINE, thin])])) == ""
    two = legend_html(Chart("two", "", "", [Panel("", [LINE, DOTS, thin])]))
    assert two.count("<button") == 2
    assert "a fold" not in two


def test_a_confusion_matrix_holds_no_picture(tmp_path) -> None:
    counts = np.array([[8, 2], [1, 19]])
    path = tmp_path / "confusion.svg"
    save_figure(draw_matrix(counts, ["well", "ill"], "run"), path)
    text = path.read_text()
    assert "<image" not in text
    assert "95.0 %" in text
    assert "80.0 %" in text


@pytest.mark.parametrize("kind", ["plane", "square"])
def test_the_same_chart_gives_the_same_bytes(kind: str, tmp_path) -> None:
    chart = Chart("one", "", "", [Panel("a", [LINE, DOTS], kind=kind)])
    for name in ("a.svg", "b.svg"):
        save_figure(draw_chart(chart), tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
