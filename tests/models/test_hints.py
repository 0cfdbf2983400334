from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from salt_monailabel.models.hints import CHANNELS, draw_hints

SIZE = 32
FOREGROUND, BACKGROUND, PREVIOUS = range(CHANNELS)


@given(x=st.integers(0, SIZE - 1), y=st.integers(0, SIZE - 1), kind=st.sampled_from([0, 1]))
def test_a_click_is_brightest_where_it_points_and_on_its_own_channel_alone(x: int, y: int, kind: int) -> None:
    hints = draw_hints(SIZE, torch.tensor([[[x, y]]]).float(), torch.tensor([[kind]]), None, 1)[0]
    channel, other = (FOREGROUND, BACKGROUND) if kind == 1 else (BACKGROUND, FOREGROUND)
    assert hints[channel, y, x] == 1
    assert divmod(int(hints[channel].argmax()), SIZE) == (y, x)
    assert hints[other].abs().max() == 0


def test_padding_is_not_drawn() -> None:
    points = torch.tensor([[[5.0, 5.0], [20.0, 9.0]]])
    with_padding = draw_hints(SIZE, points, torch.tensor([[1, -1]]), None, 1)
    without = draw_hints(SIZE, points[:, :1], torch.tensor([[1]]), None, 1)
    assert torch.equal(with_padding, without)


def test_a_previous_mask_is_told_apart_from_none_even_where_it_is_empty() -> None:
    empty = draw_hints(SIZE, None, None, torch.zeros(1, 1, SIZE, SIZE), 1)
    assert (empty[:, PREVIOUS] == -1).all()
    assert (draw_hints(SIZE, None, None, torch.ones(1, 1, SIZE, SIZE), 1)[:, PREVIOUS] == 1).all()
    assert (draw_hints(SIZE, None, None, None, 1) == 0).all()


def test_each_image_of_a_batch_has_its_own_clicks() -> None:
    points = torch.tensor([[[3.0, 4.0]], [[25.0, 26.0]]])
    hints = draw_hints(SIZE, points, torch.tensor([[1], [0]]), None, 2)
    assert hints[0, FOREGROUND, 4, 3] == 1
    assert hints[1, BACKGROUND, 26, 25] == 1
    assert hints[0, BACKGROUND].max() == hints[1, FOREGROUND].max() == 0
