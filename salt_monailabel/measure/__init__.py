"""Measurements of vessels on a mask: centre lines, diameters finer than a pixel, densities, narrowings."""

from .centre_lines import CentreLines, centre_lines
from .measurements import Measurements, Segment, measure
from .picture import write_picture
from .profile import Profile, ProfileError, profile
from .table import (
    PROFILE_COLUMNS,
    SEGMENT_COLUMNS,
    STENOSIS_COLUMNS,
    SUMMARY_COLUMNS,
    profile_rows,
    segment_rows,
    stenosis_row,
    summary_row,
    write_table,
)

__all__ = [
    "PROFILE_COLUMNS",
    "SEGMENT_COLUMNS",
    "STENOSIS_COLUMNS",
    "SUMMARY_COLUMNS",
    "CentreLines",
    "Measurements",
    "Profile",
    "ProfileError",
    "Segment",
    "centre_lines",
    "measure",
    "profile",
    "profile_rows",
    "segment_rows",
    "stenosis_row",
    "summary_row",
    "write_picture",
    "write_table",
]
