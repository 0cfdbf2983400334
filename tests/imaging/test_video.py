"""Videos: read frame by frame as they were made, and refused if they are not whole, whatever they say of themselves."""

from __future__ import annotations

import re
import struct
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from salt_monailabel.imaging import ImageError, header, read_mask, read_study, write_mask

from .stored import geometry
from .videos import COLUMNS, FRAMES, RATE, ROWS, box, coloured, encoded, run, sound, with_numbers, with_pixels_in

resource = pytest.importorskip("resource", reason="only Unix measures memory")

KINDS = [
    pytest.param("cine.mp4", "libx264", "yuv420p", id="H.264"),
    pytest.param("cine.m4v", "mpeg4", "yuv420p", id="MPEG-4"),
    pytest.param("cine.mp4", "libx264", "yuvj420p", id="H.264 in all values"),
    pytest.param("cine.mov", "libx264", "yuv420p10le", id="H.264 of 10 bits"),
    pytest.param("cine.mov", "mjpeg", "yuvj420p", id="Motion JPEG in MOV"),
    pytest.param("cine.avi", "mjpeg", "yuvj422p", id="Motion JPEG in AVI"),
    pytest.param("cine.avi", "libx264", "yuv420p", id="H.264 in AVI"),
    pytest.param("cine.avi", "mpeg4", "yuv420p", id="MPEG-4 in AVI"),
]
EXACT = [("cine.avi", "rawvideo", "bgr24"), ("cine.mov", "png", "rgb24"), ("cine.avi", "huffyuv", "rgb24")]


def refused(path: Path, message: str) -> None:
    with pytest.raises(ImageError, match=rf"{re.escape(path.name)} {message}"):
        read_study(path)


def changed(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(("name", "codec", "form"), KINDS)
def test_a_gray_video_is_a_run_of_gray_frames(tmp_path: Path, name: str, codec: str, form: str) -> None:
    study = read_study(encoded(tmp_path / name, run(), codec, form))
    assert study.pixels.dtype == np.uint8
    assert study.pixels.shape == (FRAMES, ROWS, COLUMNS, 1)
    difference = study.pixels[..., 0].astype(int) - run()
    assert np.abs(difference).mean() < 4
    # Of another range of values, it would be darker or flatter.
    assert abs(difference.mean()) < 1
    assert study.pixels.std() == pytest.approx(run().std(), rel=0.02)
    assert study.acquisition.times == pytest.approx([1000 * frame / RATE for frame in range(FRAMES)])
    assert study.spacing is None


@pytest.mark.parametrize(("name", "codec", "form"), KINDS)
def test_a_video_in_colour_is_a_run_in_colour(tmp_path: Path, name: str, codec: str, form: str) -> None:
    pixels = read_study(encoded(tmp_path / name, coloured(run()), codec, form)).pixels
    assert pixels.shape == (FRAMES, ROWS, COLUMNS, 3)
    assert np.abs(pixels.astype(int) - coloured(run())).mean() < 6


@pytest.mark.parametrize(("name", "codec", "form"), EXACT)
def test_what_is_coded_without_loss_comes_back_to_the_bit(tmp_path: Path, name: str, codec: str, form: str) -> None:
    assert np.array_equal(read_study(encoded(tmp_path / name, run(), codec, form)).pixels[..., 0], run())
    path = encoded(tmp_path / name, coloured(run()), codec, form)
    assert np.array_equal(read_study(path).pixels, coloured(run()))


def test_one_frame_in_colour_makes_a_run_in_colour(tmp_path: Path) -> None:
    frames = np.stack([run()] * 3, axis=-1)
    frames[-1] = coloured(run())[-1]
    pixels = read_study(encoded(tmp_path / "cine.avi", frames, "rawvideo", "bgr24")).pixels
    assert np.array_equal(pixels, frames)


def test_colour_that_compression_made_is_none(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(-10, 11, (4, 96, 128, 3))
    frames = (run(4, 96, 128)[..., None] + noise).astype(np.uint8)
    # A mark in colour, far smaller than a percent, is no coloured picture either.
    frames[:, :2, :4] = (255, 255, 0)
    assert read_study(encoded(tmp_path / "cine.mp4", frames)).pixels.shape[-1] == 1


@pytest.mark.parametrize("name", ["cine.mp4", "cine.avi"])
@pytest.mark.parametrize("codec", ["mpeg4", "mjpeg"])
def test_times_are_those_at_which_frames_are_shown(tmp_path: Path, name: str, codec: str) -> None:
    shown = [0, 1, 3, 4, 8, 9, 10, 11, 12, 14, 16, 20]
    form = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    study = read_study(encoded(tmp_path / name, run(), codec, form, pts=shown))
    assert study.shape[0] == FRAMES
    assert study.acquisition.times == pytest.approx([1000 * number / RATE for number in shown])


def test_a_single_frame_has_no_times(tmp_path: Path) -> None:
    study = read_study(encoded(tmp_path / "cine.mp4", run(1)))
    assert study.shape == (1, ROWS, COLUMNS)
    assert study.acquisition.times == ()


@pytest.mark.parametrize("extension", [".nrrd", ".nii.gz", ".nii", ".mha"])
def test_its_mask_is_a_stack_of_its_frames(tmp_path: Path, extension: str) -> None:
    study = read_study(encoded(tmp_path / "cine.mp4", run()))
    mask = (run() > 150).astype(np.uint8)
    write_mask(mask, study, tmp_path / f"mask{extension}")
    assert np.array_equal(read_mask(tmp_path / f"mask{extension}", study), mask)
    plain = sitk.GetImageFromArray(mask)
    assert geometry(sitk.ReadImage(str(tmp_path / f"mask{extension}"))) == geometry(plain)
    with pytest.raises(ImageError, match="cannot be written"):
        write_mask(mask, study, tmp_path / "mask.png")


@pytest.mark.parametrize("name", ["cine.avi", "cine.dcm", "CINE.MP4", "cine"])
def test_a_video_is_known_by_how_it_begins_not_by_its_name(tmp_path: Path, name: str) -> None:
    content = encoded(tmp_path / "made.mp4", run()).read_bytes()
    assert read_study(changed(tmp_path / name, content)).shape == (FRAMES, ROWS, COLUMNS)


# The first two columns of the matrix by which a player turns frames, each of two numbers and a zero between.
@pytest.mark.parametrize(("matrix", "turns"), [((0, 1, -1, 0), 1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 3)])
def test_frames_are_turned_as_a_player_turns_them(tmp_path: Path, matrix: tuple[int, ...], turns: int) -> None:
    path = encoded(tmp_path / "cine.mov", run(), "png", "rgb24")
    a, b, c, d = (number << 16 for number in matrix)
    turned = changed(tmp_path / "turned.mov", with_numbers(path.read_bytes(), b"tkhd", 40, a, b, 0, c, d))
    # Clockwise.
    assert np.array_equal(read_study(turned).pixels[..., 0], np.rot90(run(), -turns, axes=(1, 2)))


def test_pixels_that_are_not_square_are_left_as_they_are(tmp_path: Path) -> None:
    study = read_study(encoded(tmp_path / "cine.mp4", run(), aspect=2))
    assert study.shape == (FRAMES, ROWS, COLUMNS)
    assert study.spacing is None


def test_frames_that_an_edit_hides_are_there(tmp_path: Path) -> None:
    numbers = range(-5, FRAMES - 5)
    path = encoded(tmp_path / "cine.mov", run(), "mjpeg", "yuvj420p", pts=numbers, avoid_negative_ts="disabled")
    with av.open(str(path)) as played:
        assert len(list(played.decode(video=0))) < FRAMES
    assert read_study(path).shape[0] == FRAMES


def test_a_title_in_another_encoding_is_no_reason_to_refuse(tmp_path: Path) -> None:
    content = encoded(tmp_path / "made.avi", run(), "mjpeg", "yuvj420p", metadata="M_ller").read_bytes()
    assert read_study(changed(tmp_path / "cine.avi", content.replace(b"M_ller", b"M\xfcller"))).shape[0] == FRAMES


def test_several_threads_read_the_same(tmp_path: Path) -> None:
    path = encoded(tmp_path / "cine.mp4", run())
    with ThreadPoolExecutor(4) as pool:
        one, *others = pool.map(read_study, [path] * 8)
    assert all(np.array_equal(one.pixels, other.pixels) for other in others)


@pytest.mark.parametrize(("name", "codec", "form"), KINDS)
@pytest.mark.parametrize("header_first", [False, True])
def test_a_video_cut_short_is_never_a_shorter_run(
    tmp_path: Path, name: str, codec: str, form: str, header_first: bool
) -> None:
    order = {"movflags": "faststart"} if header_first else {}
    content = encoded(tmp_path / name, run(), codec, form, **order).read_bytes()
    # Behind the pixels of an AVI there is a list of them, which can do without.
    end = content.rfind(b"idx1") if name.endswith(".avi") else len(content)
    for length in sorted({*range(1, end - 1, 997), int(0.95 * end), end - 9, end - 2}):
        with pytest.raises(ImageError, match=re.escape(name)):
            read_study(changed(tmp_path / name, content[:length]))


def test_an_avi_cut_between_two_frames_is_refused(tmp_path: Path) -> None:
    content = encoded(tmp_path / "cine.avi", run(), "mjpeg", "yuvj420p").read_bytes()
    last = content.rfind(b"00dc", 0, content.rfind(b"idx1"))
    refused(changed(tmp_path / "cine.avi", content[:last]), f"should hold {FRAMES} frames, but holds {FRAMES - 1}")


def test_a_video_that_declares_more_frames_than_it_has_is_refused(tmp_path: Path) -> None:
    content = encoded(tmp_path / "cine.avi", run(), "mjpeg", "yuvj420p").read_bytes()
    more = with_numbers(content, b"strh", 36, FRAMES + 3, order="<")
    refused(changed(tmp_path / "cine.avi", more), f"should hold {FRAMES + 3} frames, but holds {FRAMES}")
    content = encoded(tmp_path / "cine.mp4", run()).read_bytes()
    more = with_numbers(content, b"stts", 8, FRAMES + 3)
    refused(changed(tmp_path / "cine.mp4", more), f"should hold {FRAMES + 3} frames, but holds {FRAMES}")


@pytest.mark.parametrize(("codec", "share", "length"), [("libx264", 0.5, 200), ("mpeg4", 0.3, 50)])
def test_a_damaged_frame_is_refused_and_not_made_up(tmp_path: Path, codec: str, share: float, length: int) -> None:
    content = encoded(tmp_path / "cine.mp4", run(), codec, movflags="faststart").read_bytes()
    start = content.index(b"mdat") + 4
    place = start + int(share * (len(content) - start))
    damaged = content[:place] + b"\xff" * length + content[place + length :]
    refused(changed(tmp_path / "cine.mp4", damaged), "is damaged")


def test_what_holds_no_video_or_several_is_refused(tmp_path: Path) -> None:
    refused(changed(tmp_path / "none.mp4", box(b"ftyp", b"isom", bytes(4), b"isom")), "is damaged")
    refused(changed(tmp_path / "bare.avi", b"RIFF\4\0\0\0AVI "), "is damaged")
    for name in ("sound.mov", "sound.avi"):
        refused(sound(tmp_path / name), "holds 0 videos")
    for name in ("two.mov", "two.avi"):
        refused(encoded(tmp_path / name, run(), "mjpeg", "yuvj420p", streams=2), "holds 2 videos")


def test_what_does_not_say_how_many_frames_it_holds_is_refused(tmp_path: Path) -> None:
    pieces = encoded(tmp_path / "pieces.mp4", run(), movflags="frag_keyframe+empty_moov")
    refused(pieces, "is an MP4 in fragments .* save it as an ordinary MP4")
    content = encoded(tmp_path / "cine.avi", run(), "mjpeg", "yuvj420p").read_bytes()
    unfinished = with_numbers(with_numbers(content, b"strh", 36, 0, order="<"), b"avih", 20, 0, order="<")
    refused(changed(tmp_path / "cine.avi", unfinished), "does not say how many frames it holds")


def test_a_codec_that_no_export_has_is_refused_with_what_to_use(tmp_path: Path) -> None:
    refused(
        encoded(tmp_path / "cine.avi", run(), "flv", "yuv420p"), "is coded by flv, .* export it as H.264 or Motion JPEG"
    )


def test_as_much_is_read_as_of_other_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gray = encoded(tmp_path / "gray.mp4", run())
    colour = encoded(tmp_path / "colour.mp4", coloured(run()))
    values = FRAMES * ROWS * COLUMNS
    for path, most in ((gray, values), (colour, 3 * values)):
        monkeypatch.setattr(header, "LARGEST", most)
        assert read_study(path).pixels.size == most
        monkeypatch.setattr(header, "LARGEST", most - 1)
        refused(path, f"declares {FRAMES} x {ROWS} x {COLUMNS} x . values, .* crop it")


def test_what_is_declared_is_refused_before_it_is_looked_for(tmp_path: Path) -> None:
    content = encoded(tmp_path / "cine.avi", run(), "mjpeg", "yuvj420p").read_bytes()
    declared = with_numbers(content, b"strh", 36, 10**6, order="<")
    start = content.index(b"movi") + 4
    path = changed(tmp_path / "cine.avi", declared[:start] + bytes(len(content) - start))
    refused(path, f"declares {10**6} x {ROWS} x {COLUMNS} x 1 values")


def test_frames_that_are_not_declared_count_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded(tmp_path / "cine.avi", run(), "mjpeg", "yuvj420p").read_bytes()
    path = changed(tmp_path / "cine.avi", with_numbers(content, b"strh", 36, 2, order="<"))
    monkeypatch.setattr(header, "LARGEST", 5 * ROWS * COLUMNS)
    refused(path, f"declares 6 x {ROWS} x {COLUMNS} x 1 values")


@pytest.mark.parametrize(
    ("size", "message"), [((80, 60), "is damaged at frame 2"), ((9000, 9000), "is damaged, cut short or no video")]
)
def test_a_frame_of_another_size_is_refused_before_it_takes_memory(
    tmp_path: Path, size: tuple[int, int], message: str
) -> None:
    other = BytesIO()
    Image.new("L", size).save(other, "JPEG")
    content = encoded(tmp_path / "cine.avi", run(), "mjpeg", "yuvj420p").read_bytes()
    second = content.index(b"00dc", content.index(b"00dc", content.index(b"movi")) + 4)
    chunk = b"00dc" + struct.pack("<I", other.tell()) + other.getvalue() + bytes(other.tell() % 2)
    path = changed(tmp_path / "cine.avi", content[:second] + chunk + content[second : content.rfind(b"idx1")])
    refused(path, message)


def test_a_small_file_of_millions_of_samples_is_refused_before_they_take_memory(tmp_path: Path) -> None:
    content = encoded(tmp_path / "cine.mov", run(), "mjpeg", "yuvj420p").read_bytes()
    content = with_numbers(with_numbers(content, b"stsz", 4, 1, 80_000_000), b"stsc", 12, 80_000_000)
    path = changed(tmp_path / "cine.mov", content)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    refused(path, "declares more samples than it holds")
    assert time.perf_counter() - started < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


@pytest.mark.parametrize(
    "script", ["ffconcat version 1.0\nfile secret.avi\n", "#EXTM3U\n#EXTINF:1,\nsecret.avi\n#EXT-X-ENDLIST\n"]
)
@pytest.mark.parametrize("name", ["cine.mp4", "cine.avi"])
def test_a_list_of_other_files_is_no_video(tmp_path: Path, script: str, name: str) -> None:
    encoded(tmp_path / "secret.avi", run(), "mjpeg", "yuvj420p")
    path = changed(tmp_path / name, script.encode())
    refused(path, "cannot be read")


def test_a_video_is_opened_as_what_it_begins_as(tmp_path: Path) -> None:
    path = changed(tmp_path / "cine.mp4", box(b"skip", encoded(tmp_path / "stream.h264", run()).read_bytes()))
    with av.open(str(path)) as guessed:
        assert guessed.format.name == "h264"
    refused(path, "is damaged, cut short or no video")


def test_a_video_whose_pixels_are_in_another_file_is_refused(tmp_path: Path) -> None:
    secret = encoded(tmp_path / "secret.mov", run(), "mjpeg", "yuvj420p")
    path = changed(tmp_path / "cine.mov", with_pixels_in(secret.read_bytes(), secret))
    with av.open(str(path), options={"enable_drefs": "1", "use_absolute_path": "1"}) as followed:
        assert len(list(followed.decode(video=0))) == FRAMES
    refused(path, "should hold")
