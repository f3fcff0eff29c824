"""CSV and Parquet files are read whatever their form, or refused with a remedy."""

import gzip
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from hpo.data.predictor import Preprocessing
from hpo.data.tables import read_rows
from hpo.errors import InputError
from tests.hpo.data.writing import NUMBERS, ROWS, Save, Write, csv, message, parquet, refusal, split


@pytest.mark.parametrize("separator", [";", "\t"])
def test_csv_with_other_separators_and_byte_order_mark(write: Write, separator: str) -> None:
    expected = split(write("plain.csv", csv(**NUMBERS)))
    text = csv(**NUMBERS).replace(b",", separator.encode())
    result = split(write("other.csv", b"\xef\xbb\xbf" + text))
    assert result.description.digest == expected.description.digest


def test_csv_and_parquet_give_the_same(write: Write) -> None:
    first = split(write("t.csv", csv(**NUMBERS)))
    second = split(write("t.parquet", parquet(pd.DataFrame(NUMBERS))))
    assert first.description.digest == second.description.digest


def test_a_path_like_a_partition_adds_no_column(write: Write, tmp_path: Path) -> None:
    (tmp_path / "k=1").mkdir()
    result = split(write("k=1/t.parquet", parquet(pd.DataFrame(NUMBERS))))
    assert result.description.features == ("id", "x")


def test_names_with_odd_characters_stay_on_one_line(write: Write) -> None:
    content = b'"a\nb","\x1b[31mred",y\n' + b"1,2,0\n,4,1\n" * 20
    text = message(write("t.csv", content), "source")
    assert "'a\\nb' (20)" in text
    assert "\\x1b" in message(replace(write("t.csv", content), target="red"), "target")
    long = write("t.csv", b"x" * 100_000 + b",z\n1,2\n")
    message(long, "target")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "is empty"),
        (b"x,y\n", "no rows"),
        (b"x,y\n1,2\n1,2,3\n1,2\n", "line 3"),
        (b"x,y\n1,2,3\n1,2,3\n", "more fields than"),
        (b"x,y\n1,2\n1\n", "missing"),
        (b'x,y\n"1,2\n3,4\n', "EOF inside string"),
        ("x,y\n1,a\n2,é\n".encode("latin1"), "CP1252 (western European), where line 3 is '2,é'"),
        ("x,y\n1,2\n".encode("utf-16"), "not UTF-8"),
        (bytes(range(256)) * 20, "not UTF-8"),
        (b"\0" * 1000, ""),
    ],
)
def test_csv_files_that_cannot_be_read(write: Write, content: bytes, problem: str) -> None:
    with pytest.raises(InputError) as caught:
        split(write("t.csv", content))
    text = message(write("t.csv", content), str(caught.value)[7:].partition(":")[0])
    assert problem in text
    assert "t.csv" in text


def test_parquet_files_that_cannot_be_read(write: Write) -> None:
    whole = parquet(pd.DataFrame(NUMBERS))
    for content in (b"", b"PAR1", whole[:-20], whole[:4] + bytes(100) + whole[104:]):
        assert "not a complete .parquet file" in message(write("t.parquet", content), "source")


def test_a_column_that_is_there_twice_is_refused(save: Save) -> None:
    table = "x,y,x\n" + "1,a,3\n4,b,6\n" * 20
    assert "more than one column 'x'; rename or remove" in refusal(save(table))
    assert "more than one column 'y'" in refusal(save(table.replace("x\n", "y\n")))
    result = split(save(table.replace("y,x", "y,x.1")))  # names as pandas would have made them
    assert result.description.features == ("x", "x.1")
    with pytest.raises(InputError, match="more than one column 'x'"):
        read_rows(Path(save(table).source), result.preprocessing)


def test_a_saved_index_is_left_out_with_a_note(save: Save) -> None:
    table = pd.DataFrame({"x": np.linspace(0, 1, ROWS), "y": ["a", "b"] * 50})
    expected = split(save(table.to_csv(index=False)))
    once = save(table.to_csv(), "once.csv")
    result = split(once)
    assert result.description.digest == expected.description.digest
    assert "column 1" in result.description.notes[0]
    assert "ignored as a saved index" in result.description.notes[0]
    (Path(once.source).parent / "twice.csv").write_text(pd.read_csv(once.source).to_csv())
    twice = split(replace(once, source=once.source.replace("once", "twice")))
    assert twice.description.digest == expected.description.digest
    assert len(twice.description.notes) == 2
    dropped = split(replace(once, drop=("Unnamed: 0",)))
    assert dropped.description.digest == expected.description.digest
    assert dropped.description.notes == ()
    rows = read_rows(Path(once.source), result.preprocessing)
    assert list(rows.columns) == ["x", "y"]
    trailing = split(save(table.to_csv(index=False).replace("\n", ",\n")))
    assert trailing.description.digest == expected.description.digest
    assert "has no name and no values" in trailing.description.notes[0]


@pytest.mark.parametrize(
    ("line", "is_names"),
    [
        ("5.1,3.5,1.4,0.2,Iris-setosa", False),
        ("39,State-gov,77516,Bachelors", False),
        ("7,0.27,0.36,20.7", False),
        ("0,0,5,13", False),
        ("x,y", True),
        ("country,1990,1991,1992", True),
        ("0,1,2,3", True),
        ("label,400.5,401.0,401.5", True),
        ("name,2020", True),
    ],
)
def test_a_file_without_a_line_of_names(save: Save, line: str, is_names: bool) -> None:
    names = line.split(",")
    row = ",".join(["1"] * len(names))
    chosen = replace(save(f"{line}\n" + f"{row}\n" * 9), target=names[-1])
    text = refusal(chosen)
    assert ("no line of column names: its first line is" in text) != is_names
    assert ("add a line of names before it" in text) != is_names


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_the_separator_is_the_one_most_used(save: Save, separator: str) -> None:
    names = separator.join(['"x, cm"', "z", "y"])
    lines = "".join(separator.join([str(k), "1", "ab"[k % 2]]) + "\n" for k in range(ROWS))
    result = split(save(f"{names}\n{lines}"))
    assert result.description.features == ("x, cm", "z")
    assert result.description.notes == (
        "the same value in all rows of 'z': a model learns nothing from it",
    )
    assert "remove that line" in refusal(save(f"sep={separator}\n{names}\n{lines}"))


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_commas_inside_of_quotes_separate_nothing(save: Save, separator: str) -> None:
    names = separator.join(['"size, cm, of the left, longer leg"', "y"])
    lines = "".join(separator.join([str(k), "ab"[k % 2]]) + "\n" for k in range(ROWS))
    result = split(save(f"{names}\n{lines}"))
    assert result.description.features == ("size, cm, of the left, longer leg",)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("t.txt", "rename it to end in .csv"), ("t.xlsx", "save the sheet as CSV"),
        ("t.gz", "unpack it, or rename it to end in .csv.gz"),
        ("t.json", "convert it to one of them"),
        ("t.csv.zst", "unpack it first"), ("train-images-idx3-ubyte", "use the folder"),
    ],
)  # fmt: skip
def test_other_endings_have_a_remedy(save: Save, name: str, way: str) -> None:
    chosen = replace(save("x,y\n1,2\n", name), target=None)
    assert way in refusal(chosen)
    with pytest.raises(InputError, match=re.escape(way)):
        read_rows(Path(chosen.source), Preprocessing((1,)))


@pytest.mark.parametrize(
    ("encoding", "lines", "said"),
    [
        ("cp949", "이름,나이,y\n홍길동,20,1\n", "CP949 (Korean), where line 1 is '이름,나이,y'"),
        ("cp949", "x,y\n1,가\n", "CP949 (Korean), where line 2 is '1,가'"),
        ("shift_jis", "名前,y\nさくら,1\n", "CP932 (Japanese)"),
        ("cp1252", "größe,y\n1,Köln\n", "CP1252 (western European)"),
        ("cp1251", "имя,возраст\nИван,20\nПётр Сергеевич,30\n", "CP1251 (Cyrillic)"),  # noqa: RUF001
        ("cp1253", "x,y\nκαλημέρα κόσμε φίλοι,a\n", "CP1253 (Greek)"),  # noqa: RUF001
        ("cp1256", "x,y\nمرحبا بالعالم اصدقاء,a\n", "CP1256 (Arabic)"),  # noqa: RUF001
        ("utf-16", "x,y\n1,2\n", "UTF-16"),
    ],
)
def test_an_encoding_is_named(save: Save, encoding: str, lines: str, said: str) -> None:
    text = refusal(save(lines.encode(encoding)))
    assert said in text
    assert f"iconv -f {said.split()[0]} -t UTF-8" in text
    assert said in refusal(save(gzip.compress(lines.encode(encoding)), "t.csv.gz"))


@pytest.mark.parametrize(
    ("encoding", "line", "language"),
    [
        ("cp1254", "güneş şöyle ığdır çiçek", "Turkish"),  # noqa: RUF001
        ("cp1250", "zażółć gęślą jaźń", "central European"),
        ("cp874", "สวัสดีชาวโลก", "Thai"),
        ("gb18030", "你好世界朋友们大家好", "Chinese"),
        ("cp1255", "שלום עולם חברים", "Hebrew"),
        ("big5", "你好世界朋友們", "traditional Chinese"),
        ("euc_jp", "こんにちは世界", "Japanese"),
    ],
)
def test_of_encodings_that_are_alike_the_right_one_is_among_those_named(
    save: Save, encoding: str, line: str, language: str
) -> None:
    text = refusal(save(f"x,y\n{line},a\n".encode(encoding)))
    assert f"{encoding.upper()} ({language}), where line 2 is '{line},a'" in text
    assert text.count(" in which line 2 is ") <= 3


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty; add a line of column names, then rows"),
        (b"x,y\n", "has no rows below its column names; add rows"),
        (b"x,y\n1,2,3\n1,2,3\n", "is ragged: some rows have more fields than the first line; put "
         "numbers with a decimal comma in quotes"),
        (b"x;y\n1;2;3\n1;2;3\n", "is ragged: some rows have more fields than the first line"),
        (b"x,y\n1,2\n1,2,3\n", "is ragged or not a CSV file: Expected 2 fields in line 3, saw 3"),
        (b'\xef\xbb\xbf"sep=;"\nx;y\n1;2\n',
         "starts with a line for Excel, b'\\xef\\xbb\\xbf\"sep=;\"'; remove that line"),
        (b"\xfe\xff" + "x,y\n1,2\n".encode("utf-16-be"),
         "is not UTF-8, but UTF-16; convert it, for example with: iconv -f UTF-16 -t UTF-8"),
        (bytes(range(256)) * 20,
         "is not UTF-8 in line 2, nor in any other known encoding; save it as UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_a_remedy(
    save: Save, content: bytes, said: str
) -> None:
    chosen = save(content)
    text = refusal(chosen)
    assert text == f"[data] source: {chosen.source!r} {said}"


def test_rows_to_predict_are_read_in_the_notation_of_the_table(save: Save, tmp_path: Path) -> None:
    table = csv(";", x=[f"{k},5" for k in range(ROWS)], y=["a", "b"] * 50)
    preprocessing = split(replace(save(table, "T.CSV"), decimal=",")).preprocessing
    upper = tmp_path / "ROWS.CSV"
    upper.write_text("x;z\n1.234,5;1\n1,5;2\n")
    rows = read_rows(upper, preprocessing)
    assert rows["x"].tolist() == ["1.234,5", "1,5"]
    for path, said in (
        (tmp_path / "no.csv", "cannot be read: No such file or directory; use another file"),
        (tmp_path / "x.xlsx", "expected a file that ends in .csv, .tsv (also .gz, .bz2, .xz, or "
         ".zip of these), or .parquet; save the sheet as CSV"),
    ):
        with pytest.raises(InputError) as caught:
            read_rows(path, preprocessing)
        assert str(caught.value) in (f"{path} {said}", f"{path}: {said}")
