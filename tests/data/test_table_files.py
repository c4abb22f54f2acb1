"""Files as people send them: packed, in other encodings, with other separators, and broken."""

import bz2
import gzip
import io
import lzma
import warnings
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from autorecipe.data import ReadOptions, load_dataset
from autorecipe.data.table.delimited import read_delimited
from autorecipe.data.table.files import read_file
from autorecipe.errors import InputError

ROWS = 40


def text_of(mark=",", ends="\n", decimal="."):
    lines = [mark.join(["größe", "farbe", "target"])]
    for i in range(ROWS):
        size = f"{i / 4:.2f}".replace(".", decimal)
        lines.append(
            mark.join([f'"{size}"' if mark in size else size, ("rot", "grün")[i % 2], "ja" if i % 3 else "nein"])
        )
    return ends.join([*lines, ""])


def read(path):
    return read_file(path)[0]


@pytest.fixture
def table(tmp_path):
    """Write bytes or text into a file; returns its path."""

    def write(content, name="t.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_every_separator_and_line_end(table, mark, ends):
    frame = read(table(text_of(mark, ends)))
    assert list(frame.columns) == ["größe", "farbe", "target"]
    assert len(frame) == ROWS
    assert frame["größe"].tolist() == [i / 4 for i in range(ROWS)]


def zipped(data, names=("inside.csv",)):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, data)
    return packed.getvalue()


@pytest.mark.parametrize(
    ("suffix", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress), ("zip", zipped)]
)
@pytest.mark.parametrize(("kind", "mark"), [("csv", ","), ("tsv", "\t")])
def test_packed_files(table, suffix, pack, kind, mark):
    plain = read(table(text_of(mark), f"plain.{kind}"))
    path = table(pack(text_of(mark).encode()), f"t.{kind}.{suffix}")
    pd.testing.assert_frame_equal(read(path), plain)
    assert load_dataset(path, ReadOptions()).info.name == "t"
    broken = table(pack(text_of(mark).encode())[:40], f"broken.{kind}.{suffix}")
    with pytest.raises(InputError, match="broken"):
        read(broken)


def test_an_archive_of_two_files_is_refused(table):
    with pytest.raises(InputError, match="holds 2 files"):
        read(table(zipped("a,b\n1,2\n", ("a.csv", "b.csv")), "t.csv.zip"))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_unicode_encodings_give_the_same_table(table, encoding):
    plain = read(table(text_of()))
    frame, findings = read_file(table(text_of(), "other.csv", encoding))
    pd.testing.assert_frame_equal(frame, plain)
    assert findings == []


@pytest.mark.parametrize(("byte", "name"), [(b"\xfc", "Windows-1252"), (b"\x81", "Latin-1")])
def test_other_encodings_are_read_and_told(table, byte, name):
    path = table(b"name,target\n" + b"a,1\n" * 30 + b"M" + byte + b"ller,0\n")
    frame, (finding,) = read_file(path)
    assert finding.warn
    assert f"0x{byte.hex()} in line 32" in finding.found
    assert name in finding.done
    assert frame["name"].iloc[-1] == "M" + byte.decode("latin-1") + "ller"
    assert any(f.kind == "encoding" for f in load_dataset(path, ReadOptions(keep=("name",))).info.findings)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "is empty"),
        (b" \n\n  \n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"a,b,target\n", "a line of column names .'a', 'b', 'target'. and no row"),
        (b"a,b\n1,\x002\n", "holds zero bytes"),
        (bytes(range(256)) * 4, "no text"),
        (b"a,\xff\xfe\x01\x02\n" * 20, "no text: it is not UTF-8 .byte 0xff in line 1. and holds control"),
        (b"PK\x03\x04rest", "a ZIP archive or an Excel workbook"),
        (b"PAR1rest", "a Parquet file; let its name end in .parquet"),
        (gzip.compress(b"a,b\n1,2\n"), "compressed by gzip; let its name end in .gz"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
        (b"\n  <!DOCTYPE html>\n<p>not found</p>", "a web page"),
        (b"\xff\xfea", "damaged: it begins like utf-16"),
        (b"a,b,target\n1,2,3\n1,2\n1,2,3\n", "line 3 has 2 fields where the columns are 3: '1,2'"),
        (b"a,b,target\n1,2,3\n1,2,3,4\n", "line 3 has 4 fields where the columns are 3: '1,2,3,4'"),
        (b"a,b,target\n1,2,3,4,5\n1,2,3\n", "line 2 has 5 fields"),
        (b"a,b,target\n1,2,3\n\n'x',2,3\n4\n", "line 5 has 1 field where"),
        (b'a,b,target\n1,2,3\n"1,2,3\n1,2,3\n', "line 3 has 1 field where"),
        (b'a,b\n"x\ny",1\n1,2,3\n', "line 4 has 3 fields"),
        (b"a;b;a;c;b\n" + b"1;2;3;4;5\n" * 3, "columns 'a', 'b' more than once .'a' is columns 1, 3."),
        (b"5.1,0.2,0.2,setosa\n4.9,0.2,0.2,setosa\n", "first line looks like values"),
    ],
)
def test_files_that_cannot_be_read(table, content, match):
    with pytest.raises(InputError, match=match):
        read(table(content))


@pytest.mark.parametrize("content", [b"", b"PAR1", b"not parquet at all", b"PAR1" + bytes(200) + b"PAR1"])
def test_damaged_parquet(table, content):
    with pytest.raises(InputError, match="cannot be read as a Parquet file"):
        read(table(content, "t.parquet"))


def test_a_parquet_file_without_rows_is_refused(tmp_path):
    pd.DataFrame({"a": [], "target": []}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="2 columns and 0 rows"):
        read(tmp_path / "t.parquet")


def test_a_separator_at_the_end_of_each_line_is_no_column(table):
    frame = read(table("a,b\n1,2,\n3,4,\n"))
    assert frame.to_dict("list") == {"a": [1, 3], "b": [2, 4]}
    assert list(read(table("a,b,\n1,2,\n3,4,\n")).columns) == ["a", "b", "Unnamed: 2"]


def test_names_of_rows_without_a_name_of_their_own_are_a_column(table):
    frame = read(table("a,b\nfirst,1,2\nsecond,3,4\n"))
    assert frame.to_dict("list") == {"rownames": ["first", "second"], "a": [1, 3], "b": [2, 4]}


def test_quotes_hide_separators_and_line_ends(table):
    frame = read(table('"a, b",c\n"x, y",1\n"p\nq",2\nsays "hi",3\n'))
    assert frame.to_dict("list") == {"a, b": ["x, y", "p\nq", 'says "hi"'], "c": [1, 2, 3]}


def test_a_header_of_values_is_told(table):
    lines = [f"{i / 8},{i * 1.5},{'a' if i % 2 else 'b'}" for i in range(3, 20)]
    _, (finding,) = read_file(table("\n".join(lines)))
    assert finding.warn
    assert "'0.375', '4.5', 'a'" in finding.found


def test_a_text_with_commas_does_not_hide_the_semicolons(table):
    frame = read(table("Weight (kg, dry);note\n1,5;a, b, c\n2,5;d, e, f\n"))
    assert list(frame.columns) == ["Weight (kg, dry)", "note"]
    assert frame.iloc[:, 0].tolist() == ["1,5", "2,5"]


def test_a_wide_table_is_read(table):
    names = ",".join(f"gene_{i:06d}" for i in range(20_000))
    frame = read(table(names + "\n" + "\n".join([",".join(["1"] * 20_000)] * 3)))
    assert frame.shape == (3, 20_000)


def test_a_long_field_is_read(table):
    frame = read(table("a,b\n" + "x" * 200_000 + ",1\ny,\n"))
    assert frame["a"].str.len().tolist() == [200_000, 1]


CELLS = st.text(alphabet=st.sampled_from("ab1.,;|\t\"' -é\n\r"), max_size=6)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=5).map(lambda cells: ",".join(cells)), max_size=8)


def read_or_refuse(path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            frame, _ = read_delimited(path)
            load_dataset(path, ReadOptions(target=str(frame.columns[-1])))
        except InputError:
            return


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.one_of(st.binary(max_size=300), LINES.map(lambda lines: "\n".join(lines).encode())))
@example(content=b"\xff\xfe\x00")
@example(content=b"a\x00")
@example(content=b"a,b\n1,99999999999999999999999\n2,1e999\n")
def test_any_bytes_are_read_or_refused(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    read_or_refuse(path)


MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, 2000), st.sampled_from([b"", b'"', b",", b"\n", b"\r", b";", b"\x00", b"\xff", b"9" * 400])
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutations=MUTATIONS, cut=st.integers(0, 2000))
def test_a_table_with_damage_is_read_or_refused(tmp_path, mutations, cut):
    random = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": random.normal(size=30).round(3),
            "when": pd.date_range("2024-01-01", periods=30).astype(str),
            "price": [f"${i * 317:,}" for i in range(30)],
            "note": [f"a note, number {i} of some" for i in range(30)],
            "target": random.integers(0, 2, 30),
        }
    )
    data = frame.to_csv(index=False).encode()
    for place, inserted in mutations:
        place %= len(data)
        data = data[:place] + inserted + data[place + 1 :]
    path = tmp_path / "t.csv"
    path.write_bytes(data[: max(1, len(data) - cut % 200)])
    read_or_refuse(path)
