"""Guesses of how a text goes on: from its latest like place, the longest likeness first, while the text grows."""

from copilot.model.lookup import MOST, Lookup


def test_a_text_goes_on_as_it_did_before() -> None:
    assert Lookup().guess([1, 2, 3, 4, 5, 6, 7, 8, 1, 2]) == [3, 4, 5, 6, 7, 8][:MOST]
    assert Lookup().guess([1, 2, 3, 9, 2, 3, 8, 1, 2, 3]) == [9, 2, 3, 8][:MOST]  # three alike before two
    assert Lookup().guess([1, 2, 3, 1, 2, 4, 1, 2]) == [4, 1, 2]  # the latest
    assert Lookup().guess([1, 2, 3, 4]) == Lookup().guess([1]) == Lookup().guess([]) == []


def test_what_is_new_is_found_later() -> None:
    lookup, text = Lookup(), [5, 6, 7]
    assert lookup.guess(text) == []
    text += [8, 5, 6]
    assert lookup.guess(text) == [7, 8, 5, 6][:MOST]
