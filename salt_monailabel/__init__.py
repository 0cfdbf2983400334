"""SALT for vessels: adapt Segment Anything, serve it in MONAI Label, correct it in 3D Slicer."""
