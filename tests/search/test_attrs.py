import json

import numpy as np

from autorecipe.search.attrs import NOTE_CHUNK, jsonable, note_attrs


def test_plain_data_stays_and_the_rest_becomes_plain() -> None:
    plain = {"a": [1, 2.5, None, True, "text"]}
    assert jsonable(plain) == plain
    found = jsonable({1: (np.float32(0.5), np.int64(3)), "nan": float("nan"), "other": {2}})
    assert found == {"1": [0.5, 3], "nan": "nan", "other": "{2}"}
    json.dumps(found, allow_nan=False)


def test_a_shorter_note_empties_the_pieces_of_a_longer_one() -> None:
    attrs = note_attrs("x" * (NOTE_CHUNK + 1), {"something": "else"})
    assert attrs == {
        "dashboard:note_ver": 1,
        "dashboard:note_str:0": "x" * NOTE_CHUNK,
        "dashboard:note_str:1": "x",
    }
    shorter = note_attrs("y", attrs)
    assert list(shorter.items()) == [
        ("dashboard:note_ver", 2),
        ("dashboard:note_str:0", "y"),
        ("dashboard:note_str:1", ""),
    ]
    assert note_attrs("y", attrs | shorter) == {}


def test_a_trials_note_is_apart_from_the_studys() -> None:
    attrs = note_attrs("of the study", {})
    assert note_attrs("of trial 7", attrs, 7) == {"dashboard:7:note_ver": 1, "dashboard:7:note_str:0": "of trial 7"}
    assert note_attrs("of the study", attrs | note_attrs("of trial 7", attrs, 7)) == {}
