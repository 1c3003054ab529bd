"""Tables fit a line, no matter what they hold."""

from hypothesis import given
from hypothesis import strategies as st

from slimbake.console.tables import folded, text_table

WIDE = 0


def test_a_table_that_fits_is_one_line_a_row() -> None:
    table = text_table(("image", "digest", "size"), [("api", "d3f3", "55.9 MB")])
    assert table == "image  digest     size\napi    d3f3    55.9 MB"


def test_headings_and_words_wrap_before_anything_is_cut() -> None:
    about = "removes tests of torch that no program of a service imports"
    rows = [("torch.test", about, "12 MB")]
    assert text_table(("pass", "about", "saved at most"), rows, 2, 40).splitlines() == [
        "pass        about          saved at most",
        "torch.test  removes tests          12 MB",
        "            of torch that",
        "            no program of",
        "            a service",
        "            imports",
    ]


def test_a_name_breaks_between_its_parts_and_only_if_it_has_no_room() -> None:
    weights = "weights-examples-atlas-services-nlg-weights"
    rows = [("nlg", f"runtime base-ml {weights} wheel-x", "a" * 30)]
    assert text_table(("target", "needs", "digest"), rows, 3, 54).splitlines() == [
        "target  needs                   digest",
        "nlg     runtime base-ml         aaaaaaaaaaaaaaaaaaaaaa",
        "        weights-examples-       aaaaaaaa",
        "        atlas-services-nlg-",
        "        weights wheel-x",
    ]


def test_each_line_of_a_folded_cell_is_as_far_to_the_right_as_the_cell() -> None:
    rows = [("base-ml", "963.2 MB"), ("      weights-examples-atlas-services-nlg", "3.2 MB")]
    assert text_table(("layer", "on a host"), rows, 1, 51).splitlines() == [
        "layer                                     on a host",
        "base-ml                                    963.2 MB",
        "      weights-examples-atlas-services-       3.2 MB",
        "      nlg",
    ]


def test_words_stand_on_the_left_in_any_column() -> None:
    rows = [("api", "55.9 MB", "start smoke"), ("job", "unmeasured", "start")]
    assert text_table(("image", "size", "checks"), rows, 1).splitlines() == [
        "image        size  checks",
        "api       55.9 MB  start smoke",
        "job    unmeasured  start",
    ]


def test_wide_folds_nothing() -> None:
    row = ("api", "x" * 200)
    assert text_table(("a", "b"), [row], 2, WIDE).splitlines()[1] == f"api  {row[1]}"


@given(
    st.lists(st.tuples(*(st.text("ab -", max_size=60),) * 5), min_size=1, max_size=4),
    st.integers(0, 5),
)
def test_lines_fit_the_width_and_lose_no_word(rows: list[tuple[str, ...]], left: int) -> None:
    headings = ("one", "two words", "three", "four", "five")
    shown = text_table(headings, rows, left, 80)
    assert all(len(line) <= 80 for line in shown.splitlines())
    for letter in "ab":
        first = sum(row[0].count(letter) for row in rows)
        rest = sum(cell.count(letter) for row in rows for cell in row[1:])
        # The first column is repeated beside those that stand below.
        parts = 1 + shown.count("\n\n")
        assert rest + first <= shown.count(letter) <= rest + first * max(parts, 5)


@given(st.text("ab -/._,", max_size=90), st.integers(3, 40))
def test_a_folded_cell_loses_nothing_and_keeps_words_that_have_room(text: str, width: int) -> None:
    shown = text_table(("a", "b"), [("", text)], 2, width).splitlines()[1:]
    assert "".join("".join(shown).split()) == "".join(text.split())
    assert all(len(line) <= max(width, 23) for line in shown)
    whole = " ".join(shown).split()
    for word in text.split():
        if len(word) <= width // 2 - 3 and "-" not in word:  # a hyphen may end a line
            assert word in whole


def test_a_long_line_goes_on_below_after_a_word() -> None:
    text = "short\n  api: this line is too long for the width\n"
    assert folded(text, 24) == ("short\n  api: this line is too\n    long for the width\n")
    assert folded(text, 0) == text
    assert folded("x" * 50, 24) == "x" * 50, "a word stays whole"
    assert folded(f"  {'x' * 50} y", 24) == f"  {'x' * 50}\n    y", "and where it begins"
