from api.prompt import ROOM, prompt


def test_sources_come_before_the_question_in_their_order() -> None:
    assert (
        prompt(" Why? ", ["one\n two", "three"])
        == "Context:\n- one two\n- three\n\nQuestion: Why?\nAnswer:"
    )


def test_long_sources_share_the_room_and_are_cut_between_words() -> None:
    text = prompt("Why?", ["word " * 1000, "other " * 1000])
    first, second = text.splitlines()[1:3]
    assert ROOM / 2 - 10 < len(first) <= ROOM / 2 + len("- ")
    assert first.endswith(" word")
    assert second.endswith(" other")


def test_a_text_without_spaces_is_cut_all_the_same() -> None:
    assert prompt("Why?", ["x" * 5000]).splitlines()[1] == "- " + "x" * ROOM
