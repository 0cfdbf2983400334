"""What parameters `fuzz.py` makes up: some may be anything, some have their form, some would be right of a run."""

from __future__ import annotations

from hypothesis import strategies as st

# Pixels of a side of the images, and frames of the run, in which contrast medium arrives.
SIDE, FRAMES = 64, 6
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
_numbers = st.integers(-9, 99) | st.floats() | st.integers()
# What parameters are called that may be anything, and those that have a form.
_ANY = (
    "label",
    "label_name",
    "label_info",
    "result_extension",
    "logging",
    "device",
    "effort",
    "ts",
    "strategy",
    "mode",
)
# A frame of the run, or the one after its last.
_frame = st.integers(0, FRAMES)
_range = st.tuples(_frame, _frame).map(sorted)
_place = st.tuples(st.integers(0, SIDE), st.integers(0, SIDE), _frame)
_two_places = st.lists(_place, min_size=2, max_size=2)
# How a run is looked at, and what else may be asked of its frames.
_VIEW = {
    "frame": _frame,
    "frames": _range,
    "subtract": st.booleans(),
    "mask_frame": _frame,
    "register": st.booleans(),
    "projection": st.sampled_from(["none", "minimum", "peak"]),
}
_FRAMES = {
    **_VIEW,
    "view": st.fixed_dictionaries({}, optional=_VIEW),
    "only_frame": _frame,
    "carry": _range,
    "key_frames": st.lists(_frame, max_size=3),
    "foreground": st.lists(_place, max_size=2),
    "background": st.lists(_place, max_size=2),
    "bridge": _two_places,
    "strokes": st.booleans(),
    "between": _two_places,
    "measure": st.booleans(),
    "job": st.just("job") | st.text(max_size=8),
    "result_extension": st.sampled_from([".nrrd", ".nii.gz", ".dcm"]),
}
# Few at a time: of many that are right each by itself, two would contradict each other.
_of_frames = st.lists(st.sampled_from(sorted(_FRAMES)), max_size=4, unique=True).flatmap(
    lambda names: st.fixed_dictionaries({name: _FRAMES[name] for name in names})
)
_anything = st.dictionaries(
    st.sampled_from((*_ANY, *_FRAMES, "reopen", "save_label", "client_id")), _values, max_size=3
)
_formed = st.fixed_dictionaries(
    {},
    optional={
        "foreground": st.lists(st.lists(_numbers, max_size=4), max_size=3) | _values,
        "background": st.lists(st.lists(_numbers, max_size=4), max_size=3) | _values,
        "roi": st.lists(_numbers, max_size=7) | _values,
        "label_info": st.lists(
            st.fixed_dictionaries({"name": st.just("vessel") | _values, "idx": _numbers}), max_size=2
        ),
        "result_extension": st.sampled_from([".nrrd", ".nii.gz", ".png", ".jpg"]),
        "seconds": _numbers,
        "learning_rate": _numbers,
        "client_id": _values,
    },
)
PARAMS = _anything | _formed | _of_frames
