"""Where an image lies in space is the same for every program, and its mask lies there too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import nibabel
import nrrd
import numpy as np
import pytest
import SimpleITK as sitk
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from pydicom.uid import MRImageStorage

from salt_monailabel.imaging import ImageError, Study, read_study, write_mask

from ..dicom import written
from .stored import HOLDS_GEOMETRY, noise

NIFTI = (".nii", ".nii.gz")
# From the right, the front and the head to the left, the back and the head, or back.
TURNED = np.diag([-1.0, -1.0, 1.0, 1.0])
# Of a pixel, and of the largest coordinate: NIfTI holds single precision.
ROUNDING, SINGLE = 0.01, 2 * np.finfo(np.float32).eps


@dataclass(frozen=True)
class World:
    """An image somewhere in space.

    Attributes
    ----------
    pixels : ndarray of uint8, (columns, rows[, slices], channels)
    affine : ndarray, (4, 4)
        From such indices to millimetres to the left, to the back and to the head.
    """

    pixels: np.ndarray
    affine: np.ndarray

    @property
    def dimension(self) -> int:
        return self.pixels.ndim - 1

    def coincides_with(self, other: World) -> bool:
        """Say whether each pixel lies where it lies in the other, and is as bright; a flat image has no thickness."""
        d = min(self.dimension, other.dimension)
        corners = np.stack(np.meshgrid(*[(0, length) for length in self.pixels.shape[:d]]), axis=-1).reshape(-1, d)
        corners = np.pad(corners, ((0, 0), (0, 4 - d)))
        corners[:, 3] = 1
        pixel = np.linalg.norm(self.affine[:3, :d], axis=0).min()
        apart = np.linalg.norm(corners @ (self.affine - other.affine).T, axis=1).max()
        most = ROUNDING * pixel + SINGLE * np.abs(corners @ self.affine.T).max()
        return apart < most and np.array_equal(self.pixels.reshape(other.pixels.shape), other.pixels)

    def index(self, point: np.ndarray) -> tuple[int, ...]:
        """Return the pixel (column, row[, slice]) at a point (x, y, z)."""
        found = np.linalg.solve(self.affine, [*point, 1])[: self.dimension]
        return tuple(np.rint(found).astype(int).tolist())


def turn(first: float, second: float, third: float) -> np.ndarray:
    """Return a rotation about the axes z, x and z again."""
    about = [np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]) for a in (first, third)]
    tilt = np.array([[1, 0, 0], [0, np.cos(second), -np.sin(second)], [0, np.sin(second), np.cos(second)]])
    return about[0] @ tilt @ about[1]


# Right angles, at which sines and cosines round to almost nothing, and any others; ITK inverts no directions that are
# below 1e-160 and not 0.
angles = st.sampled_from([0, np.pi / 2, np.pi, -np.pi / 2]) | st.floats(-np.pi, np.pi).map(lambda a: round(a, 9))
sides = st.integers(2, 7)


@st.composite
def worlds(draw: st.DrawFn, dimensions: tuple[int, ...] = (2, 3), aslant: bool = False) -> World:
    """Draw an image, gray or in colour, oblique and mirrored or not; a flat one in the xy plane unless aslant."""
    dimension, channels = draw(st.sampled_from(dimensions)), draw(st.sampled_from([1, 3]))
    # A colour image of one slice is a flat one in NIfTI, to SimpleITK.
    slices = st.integers(1 if channels == 1 else 2, 3)
    shape = (*draw(st.tuples(sides, sides)), *([draw(slices)] if dimension == 3 else []))
    free = dimension == 3 or aslant
    tilted = [draw(angles) if free or not axis else 0.0 for axis in range(3)]
    affine = np.eye(4)
    affine[:3, :3] = turn(*tilted) * [draw(st.sampled_from([-1, 1])) if free or axis < 2 else 1 for axis in range(3)]
    affine[:3, :3] *= [draw(st.floats(0.003, 20)) if free or axis < 2 else 1 for axis in range(3)]
    affine[:3, 3] = [draw(st.floats(-500, 500)) if free or axis < 2 else 0 for axis in range(3)]
    return World(noise(*shape, channels), affine)


def write_sitk(world: World, path: Path) -> None:
    d = world.dimension
    axes = world.affine[:d, :d]
    # Its order of axes is the reverse.
    pixels = world.pixels.transpose(*range(d)[::-1], d)
    image = sitk.GetImageFromArray(pixels if pixels.shape[-1] > 1 else pixels[..., 0], isVector=pixels.shape[-1] > 1)
    image.SetSpacing(np.linalg.norm(axes, axis=0).tolist())
    image.SetOrigin(world.affine[:d, 3].tolist())
    image.SetDirection((axes / np.linalg.norm(axes, axis=0)).ravel().tolist())
    sitk.WriteImage(image, str(path))


def read_sitk(path: Path) -> World:
    image = sitk.ReadImage(str(path))
    affine, d = np.eye(4), image.GetDimension()
    affine[:d, :d] = np.reshape(image.GetDirection(), (d, d)) * image.GetSpacing()
    affine[:d, 3] = image.GetOrigin()
    pixels = sitk.GetArrayFromImage(image).reshape(*image.GetSize()[::-1], -1)
    return World(pixels.transpose(*range(d)[::-1], d), affine)


def write_nibabel(world: World, path: Path) -> None:
    pixels = world.pixels[..., 0]
    if world.pixels.shape[-1] == 3:
        pixels = np.ascontiguousarray(world.pixels).view([(name, "u1") for name in "RGB"])[..., 0]
    nibabel.save(nibabel.Nifti1Image(pixels, TURNED @ world.affine), path)


def read_nibabel(path: Path) -> World:
    image = nibabel.load(path)
    pixels = np.asanyarray(image.dataobj)
    if pixels.dtype.names:
        pixels = np.stack([pixels[name] for name in "RGB"], axis=-1)
    elif pixels.ndim == 5:
        # Vectors, behind the three dimensions of space and that of time.
        pixels = pixels.reshape(*pixels.shape[: 2 if pixels.shape[2] == 1 else 3], -1)
    else:
        pixels = pixels[..., None]
    return World(pixels, TURNED @ image.affine)


def write_dicom(world: World, path: Path) -> None:
    """Write a flat image as a slice of MR, of which all programs say that it lies where its tags say."""
    axes = world.affine[:3, :2]
    lengths = np.linalg.norm(axes, axis=0)
    pixels = world.pixels.transpose(1, 0, 2)[None]
    written(
        path,
        pixels if pixels.shape[-1] > 1 else pixels[..., 0].astype(np.uint16),
        SOPClassUID=MRImageStorage,
        ImageOrientationPatient=(axes / lengths).T.ravel().round(9).tolist(),
        ImagePositionPatient=world.affine[:3, 3].round(6).tolist(),
        PixelSpacing=lengths[::-1].round(9).tolist(),
    )


def write_nrrd(world: World, path: Path) -> None:
    """Write as a program does that counts from the right and the front, as Slicer does not."""
    d = world.dimension
    turned = TURNED if d == 3 else np.eye(4)
    directions, kinds = (turned @ world.affine)[:d, :d].T, ["domain"] * d
    pixels = world.pixels[..., 0]
    if world.pixels.shape[-1] == 3:
        pixels = np.moveaxis(world.pixels, -1, 0)
        directions, kinds = np.vstack([np.full(d, np.nan), directions]), ["RGB-color", *kinds]
    space = {"space": "right-anterior-superior"} if d == 3 else {"space dimension": 2}
    origin = (turned @ world.affine)[:d, 3]
    nrrd.write(str(path), pixels, {"kinds": kinds, **space, "space directions": directions, "space origin": origin})


def read_nrrd(path: Path) -> World:
    pixels, header = nrrd.read(str(path))
    vectors = header["space directions"]
    affine, d = np.eye(4), vectors.shape[1]
    affine[:d, :d] = vectors[~np.isnan(vectors).any(axis=1)].T
    affine[:d, 3] = header["space origin"]
    if header.get("space") == "right-anterior-superior":
        affine = TURNED @ affine
    return World(pixels[..., None] if pixels.ndim == d else np.moveaxis(pixels, 0, -1), affine)


Writer = Callable[[World, Path], None]
# Who writes which format, and who reads it.
WRITERS: tuple[tuple[Writer, str], ...] = (
    *((write_sitk, extension) for extension in HOLDS_GEOMETRY),
    *((write_nibabel, extension) for extension in NIFTI),
    (write_nrrd, ".nrrd"),
)
READERS = {
    **dict.fromkeys(HOLDS_GEOMETRY, (read_sitk,)),
    **dict.fromkeys(NIFTI, (read_sitk, read_nibabel)),
    ".nrrd": (read_sitk, read_nrrd),
}


def marked(study: Study) -> np.ndarray:
    return (np.asarray(study.pixels)[..., 0] > 100).astype(np.uint8)


def mask_of(world: World) -> World:
    """Return the mask that `marked` draws."""
    return World((world.pixels[..., :1] > 100).astype(np.uint8), world.affine)


@given(world=worlds(), writer=st.sampled_from(WRITERS), extension=st.sampled_from(HOLDS_GEOMETRY))
def test_a_mask_coincides_with_its_image_for_every_program(
    world: World, writer: tuple[Writer, str], extension: str
) -> None:
    write, stored_as = writer
    with TemporaryDirectory() as folder:
        path, mask_path = Path(folder) / f"image{stored_as}", Path(folder) / f"mask{extension}"
        write(world, path)
        study = read_study(path)
        write_mask(marked(study), study, mask_path)
        assert all(world.coincides_with(read(path)) for read in READERS[stored_as])
        assert all(mask_of(world).coincides_with(read(mask_path)) for read in READERS[extension])


@given(
    worlds((2,), aslant=True),
    st.sampled_from([write_nibabel, write_sitk]),
    st.sampled_from(NIFTI),
    st.sampled_from(HOLDS_GEOMETRY),
)
def test_a_flat_nifti_that_lies_aslant_has_its_mask_there(
    world: World, write: Writer, stored_as: str, extension: str
) -> None:
    # SimpleITK knows two of its three dimensions only, and cannot read a sagittal one at all.
    assume((np.abs(world.affine[2, [0, 1, 3]]) > 1e-4).any())
    stack = World(world.pixels[:, :, None], world.affine)
    with TemporaryDirectory() as folder:
        path, mask_path = Path(folder) / f"image{stored_as}", Path(folder) / f"mask{extension}"
        write(world if write is write_nibabel else stack, path)
        study = read_study(path)
        assert np.array_equal(study.pixels[0], world.pixels.transpose(1, 0, 2))
        write_mask(marked(study), study, mask_path)
        assert all(mask_of(stack).coincides_with(read(mask_path)) for read in READERS[extension])


@settings(max_examples=50)
@given(world=worlds((2,), aslant=True), extension=st.sampled_from(HOLDS_GEOMETRY))
def test_a_slice_in_dicom_lies_where_its_tags_say_and_so_does_its_mask(world: World, extension: str) -> None:
    affine = world.affine.copy()
    # The way to the next slice, where there is none.
    affine[:3, 2] = np.cross(*(affine[:3, axis] / np.linalg.norm(affine[:3, axis]) for axis in range(2)))
    stack = World(world.pixels[:, :, None], affine)
    with TemporaryDirectory() as folder:
        path, mask_path = Path(folder) / "slice.dcm", Path(folder) / f"mask{extension}"
        write_dicom(world, path)
        study = read_study(path)
        assert np.array_equal(study.pixels[0], world.pixels.transpose(1, 0, 2))
        assert stack.coincides_with(read_sitk(path))
        write_mask(marked(study), study, mask_path)
        assert all(mask_of(stack).coincides_with(read(mask_path)) for read in READERS[extension])


@settings(max_examples=50)
@given(
    world=worlds(),
    place=st.tuples(*[st.floats(0, 1, exclude_max=True)] * 3),
    inside=st.tuples(*[st.floats(-0.45, 0.45)] * 3),
)
def test_a_click_at_a_point_lands_on_the_same_pixel_in_each_format(
    world: World, place: tuple[float, ...], inside: tuple[float, ...]
) -> None:
    sizes = world.pixels.shape[:-1]
    clicked = tuple(int(share * size) for share, size in zip(place, sizes, strict=False))
    index = np.array([*np.add(clicked, inside[: world.dimension]), *[0] * (3 - world.dimension), 1])
    point = (world.affine @ index)[:3]
    with TemporaryDirectory() as folder:
        for number, (write, extension) in enumerate(WRITERS):
            path = Path(folder) / f"image{number}{extension}"
            write(world, path)
            study = read_study(path)
            assert all(read(path).index(point)[: world.dimension] == clicked for read in READERS[extension])
            here = study.geometry.image(marked(study))
            i, j, k = (*here.TransformPhysicalPointToIndex(point[: here.GetDimension()].tolist()), 0)[:3]
            assert (i, j, k) == (*clicked, 0)[:3]
            assert np.array_equal(study.pixels[k, j, i], world.pixels[clicked])


@settings(max_examples=30)
@given(world=worlds((2,)), extension=st.sampled_from([".png", ".tif", ".tiff", ".bmp"]))
def test_a_picture_says_nothing_of_space_and_its_mask_has_its_rows_and_columns(world: World, extension: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"image{extension}"
        write_sitk(world, path)
        study = read_study(path)
        assert study.spacing is None
        for mask_extension in (extension, *HOLDS_GEOMETRY):
            write_mask(marked(study), study, Path(folder) / f"mask{mask_extension}")
            mask, image = (read_sitk(Path(folder) / name) for name in (f"mask{mask_extension}", path.name))
            assert np.array_equal(mask.pixels.max(axis=-1), image.pixels[..., 0] > 100)
            if mask_extension in HOLDS_GEOMETRY:
                assert mask.coincides_with(World(mask.pixels, image.affine))


sheared = st.floats(0.01, 0.8) | st.floats(-0.8, -0.01)


@example(extension=".nii.gz", shear=0.01, dimension=3)
@given(extension=st.sampled_from(HOLDS_GEOMETRY), shear=sheared, dimension=st.sampled_from([2, 3]))
def test_axes_that_are_not_at_right_angles_are_kept_or_refused(extension: str, shear: float, dimension: int) -> None:
    affine = np.eye(4)
    affine[0, 1] = shear
    world = World(noise(*(4, 5, 3)[:dimension], 1), affine)
    with TemporaryDirectory() as folder:
        path, mask_path = Path(folder) / "scan.nrrd", Path(folder) / f"mask{extension}"
        write_nrrd(world, path)
        study = read_study(path)
        if extension in NIFTI:
            with pytest.raises(ImageError, match=r"mask\.nii.* scan\.nrrd .*right angles; have the mask as \.nrrd"):
                write_mask(marked(study), study, mask_path)
            assert [left.name for left in Path(folder).iterdir()] == ["scan.nrrd"]
        else:
            write_mask(marked(study), study, mask_path)
            for read in READERS[extension]:
                assert mask_of(world).coincides_with(read(mask_path))


def test_nifti_with_axes_that_are_not_at_right_angles_is_refused_with_what_to_do(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.3
    write_nibabel(World(noise(4, 5, 3, 1), affine), tmp_path / "scan.nii")
    with pytest.raises(ImageError, match=r"scan\.nii has axes that are not at right angles; save it as \.nrrd"):
        read_study(tmp_path / "scan.nii")


def test_a_flat_nrrd_that_lies_aslant_is_refused_with_what_to_do(tmp_path: Path) -> None:
    directions = turn(0.2, 0.4, 0.6)[:2]
    header = {"space": "left-posterior-superior", "space directions": directions, "space origin": [1, 2, 3]}
    nrrd.write(str(tmp_path / "scan.nrrd"), noise(4, 5), header)
    with pytest.raises(ImageError, match=r"scan\.nrrd is a flat image .* as a stack of one slice"):
        read_study(tmp_path / "scan.nrrd")
