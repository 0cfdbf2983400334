"""The ids of images in folders."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from salt_monailabel.serving.access.arguments import checked_name
from salt_monailabel.serving.names import natural, new_ids

# Few letters make many namesakes; the others are what a file system allows.
NAMES = st.text("ab_.", min_size=1, max_size=3) | st.text(
    st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=120
)
FILES = st.tuples(NAMES, st.sampled_from(["", ".png", ".PNG", ".dcm", ".nii.gz", ".nrrd", ".7"])).map("".join)
PATHS = st.tuples(st.lists(NAMES, max_size=3), FILES).map(lambda parts: "/".join([*parts[0], parts[1]]))
TREES = st.lists(PATHS, unique=True, max_size=12)


@settings(max_examples=300, deadline=None)
@given(TREES, TREES, st.randoms())
def test_ids_of_any_tree_are_plain_names_of_one_file_each_whatever_their_order_and_what_comes_later(
    paths: list[str], later: list[str], random: object
) -> None:
    ids = new_ids(paths, ())
    assert ids.keys() == set(paths)
    assert all(checked_name(name, "image") == name for name in ids.values())
    assert len(set(ids.values())) == len(ids)
    assert new_ids(reversed(paths), ()) == ids
    added = new_ids(set(later) - ids.keys(), ids.values())
    assert not set(added.values()) & set(ids.values())
    assert len(set(added.values())) == len(added)


@settings(max_examples=200, deadline=None)
@given(TREES, st.sets(st.sampled_from(["eye", "eye.png", "a_b", "b"])))
def test_a_file_at_the_top_without_a_namesake_there_is_called_by_its_stem(paths: list[str], stems: set[str]) -> None:
    nested = [path for path in paths if "/" in path]
    ids = new_ids([*nested, *(f"{stem}.png" for stem in stems)], ())
    assert {ids[f"{stem}.png"] for stem in stems} == stems


def test_ids_tell_which_folder_and_which_of_its_namesakes() -> None:
    paths = ["eye.png", "a.png", "a.dcm", "p/s/IM1", "p/t/IM1", "p/t/IM1.png", "p_s/IM1", "q/1.2.840.7"]
    ids = new_ids(paths, ["a.dcm"])
    assert ids["eye.png"] == "eye"
    assert ids["a.png"] == "a.png"
    assert ids["a.dcm"].startswith("a-")
    assert (ids["p/t/IM1"], ids["p/t/IM1.png"]) == ("p_t_IM1", "p_t_IM1.png")
    assert {ids["p/s/IM1"][:8], ids["p_s/IM1"][:8]} == {"p_s_IM1-"}
    assert ids["q/1.2.840.7"] == "q_1.2.840.7"


def test_a_name_that_is_too_long_or_cannot_be_printed_is_made_plain() -> None:
    ids = new_ids(["x" * 250 + ".png", "ü" * 120 + "/IM1", "a\nb.png", "a\\b.dcm"], ())
    assert all(checked_name(name, "image") for name in ids.values())
    assert ids["ü" * 120 + "/IM1"].startswith("ü" * 60)
    assert "_IM1-" in ids["ü" * 120 + "/IM1"]


def test_names_are_in_the_order_people_count_in() -> None:
    names = ["IM10", "im2", "IM1", "IM02", "a_1_10", "a_1_9", "7", "²", "IM٣"]
    assert sorted(names, key=natural) == ["7", "a_1_9", "a_1_10", "IM1", "IM02", "im2", "IM٣", "IM10", "²"]


@given(st.lists(NAMES, unique=True), st.integers(0, 10**30), st.integers(0, 10**30))
def test_any_names_have_an_order(names: list[str], one: int, other: int) -> None:
    backwards = names[::-1]
    assert sorted(backwards, key=natural) == sorted(names, key=natural)
    assert (natural(f"IM{one}_a") < natural(f"IM{other}_a")) == (one < other)
