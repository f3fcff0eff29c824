"""Read tables from CSV and Parquet files, for studies and for predictions."""

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hpo.data.files import COMPRESSIONS, fault, most_unpacked, reason, too_much, unpacked
from hpo.data.predictor import Notation, Preprocessing, listed, quoted
from hpo.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

ENDINGS = ".csv, .tsv (also .gz, .bz2, .xz, or .zip of these), or .parquet"
_LINE = 1 << 20  # bytes of the line of names, at most
_SAMPLE = 1 << 16  # bytes that tell an encoding
_LIKELY = 3  # encodings that an error names
_SEPARATORS = ",;\t|"
_TEXT_VALUE = 2  # bytes that a value in a CSV file takes at least
_NAMELESS = re.compile(r"Unnamed: \d+(\.\d+)*")  # so pandas names a column without a name
_WAYS = {
    ".txt": "rename it to end in .csv", ".data": "rename it to end in .csv",
    ".dat": "rename it to end in .csv", ".tab": "rename it to end in .tsv",
    ".xlsx": "save the sheet as CSV", ".xls": "save the sheet as CSV",
    ".ods": "save the sheet as CSV", ".zst": "unpack it first",
}  # fmt: skip
# Encodings of tables that are no UTF-8, the more usual first, and whose they are.
_ENCODINGS = {
    "cp949": "Korean", "cp932": "Japanese", "gb18030": "Chinese", "big5": "traditional Chinese",
    "euc_jp": "Japanese", "cp1252": "western European", "cp1250": "central European",
    "cp1251": "Cyrillic", "cp1253": "Greek", "cp1254": "Turkish", "cp1255": "Hebrew",
    "cp1256": "Arabic", "cp874": "Thai",
}  # fmt: skip


def is_table(path: Path) -> bool:
    """Return whether a file has the extension of a table."""
    return _ending(path) in (".csv", ".tsv", ".parquet")


def other_way(path: Path) -> str:
    """Return what to do with a file whose extension is not one of ENDINGS."""
    ending = path.suffix.lower()
    if ending in COMPRESSIONS:
        return "unpack it, or rename it to end in .csv" + ending
    if ending in _WAYS:
        return _WAYS[ending]
    if path.name.endswith("ubyte"):
        return "use the folder that it is in"
    return "convert it to one of them"


def _ending(path: Path) -> str:
    """Return a file's ending without that of its compression."""
    if path.suffix.lower() in COMPRESSIONS:
        ending = path.with_suffix("").suffix.lower()
        return "" if ending == ".parquet" else ending
    return path.suffix.lower()


def read(
    path: Path, source: str, *, text: Iterable[str] = (), notation: Notation | None = None
) -> "pd.DataFrame":
    """Read a table, with the columns `text` as text, or all if the notation is not plain.

    Raises InputError, naming the file as `source`, if that is not possible.
    """
    if _ending(path) == ".parquet":
        return _parquet(path, source)
    return _csv(path, source, list(text), notation or Notation())


def read_rows(path: Path, preprocessing: Preprocessing) -> "pd.DataFrame":
    """Read the rows of a file in the same way as the table that a model was trained on.

    Raises InputError, naming the file, if that is not possible.
    """
    name = str(path)
    if not is_table(path):
        raise InputError(f"{path}: expected a file that ends in {ENDINGS}; {other_way(path)}")
    text = [column.name for column in preprocessing.columns if column.type == "text"]
    used = {column.name for column in preprocessing.columns}
    try:
        table = read(path, name, text=text, notation=preprocessing.notation)
        return without_nameless(table, name, used)[0]
    except InputError as error:
        problem = str(error).removeprefix("[data] source: ").removeprefix(repr(name))
        raise InputError(f"{path}{problem}") from error
    except (OSError, ValueError) as error:  # ValueError: a zero byte in a path
        problem = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path} cannot be read: {problem}; use another file") from error


def without_nameless(
    table: "pd.DataFrame", source: str, used: Collection[str]
) -> tuple["pd.DataFrame", list[str]]:
    """Return a table without a saved index and empty nameless columns, and notes on these.

    Columns in `used` are kept. Raises InputError if two columns have the same name.
    """
    table.columns = names = [str(name) for name in table.columns]
    _refuse_repeated(names, source)
    notes: list[str] = []
    left_out: list[str] = []
    for index, name in enumerate(names):
        if not _NAMELESS.fullmatch(name) or name in used:
            continue
        if index == len(left_out):  # columns of an index stand first
            left_out.append(name)
            notes.append(f"column {index + 1} of {source!r} has no name ({name}) and is ignored "
                         "as a saved index")
        elif table[name].isna().all():
            left_out.append(name)
            notes.append(f"column {index + 1} of {source!r} has no name and no values "
                         "and is ignored")
    return table.drop(columns=left_out), notes


# CSV


def _csv(path: Path, source: str, text: Sequence[str], notation: Notation) -> "pd.DataFrame":
    """Read a CSV file in UTF-8 with a line of names; all lines must be of that length.

    The separator is the comma, semicolon, tab or bar that is most often in the line of names, and
    the tab in a .tsv file.
    """
    import pandas as pd

    where = repr(source)
    with unpacked(path, where, _TEXT_VALUE) as file:
        first = _first_line(file)
    if mark := re.fullmatch(rb'(?:\xef\xbb\xbf)?"?sep=(.)"?', first.rstrip(b"\r\n"), re.I):
        raise fault(
            "source", f"{where} starts with a line for Excel, {mark[0]!r}; remove that line"
        )
    separator = "\t" if _ending(path) == ".tsv" else _separator(first)
    options: dict[str, Any] = {"sep": separator, "encoding": "utf-8-sig", "index_col": False}
    try:
        with unpacked(path, where, _TEXT_VALUE) as file:
            names = pd.read_csv(
                file, header=None, nrows=1, dtype=str, keep_default_na=False, **options
            ).iloc[0]
        _check_names([str(name) for name in names], source)
        with unpacked(path, where, _TEXT_VALUE) as file, warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # it drops columns otherwise
            table: pd.DataFrame = pd.read_csv(
                file, low_memory=False, na_values=list(notation.missing),
                dtype=dict.fromkeys(text, str) if notation.is_plain else str, **options,
            )
            return table
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise _no_utf8(path, source) from error
    except pd.errors.EmptyDataError as error:
        raise fault(
            "source", f"{where} is empty; add a line of column names, then rows"
        ) from error
    except pd.errors.ParserWarning as error:
        hint = "; put numbers with a decimal comma in quotes" if separator == "," else ""
        raise fault(
            "source", f"{where} is ragged: some rows have more fields than the first line{hint}"
        ) from error
    except pd.errors.ParserError as error:
        problem = str(error).rpartition("C error: ")[2]
        raise fault("source", f"{where} is ragged or not a CSV file: {problem}") from error
    except Exception as error:
        raise fault("source", f"{where} is not a CSV file ({reason(error)})") from error


def _first_line(file: Any) -> bytes:
    """Return the first line that is not blank."""
    line = file.readline(_LINE)
    while line and not line.strip():
        line = file.readline(_LINE)
    return bytes(line)


def _separator(line: bytes) -> str:
    """Return what separates the names, outside of quotes; the comma where nothing does."""
    bare = re.sub(rb'"[^"]*"', b"", line)
    return max(_SEPARATORS, key=lambda separator: bare.count(separator.encode()))


def _check_names(names: Sequence[str], source: str) -> None:
    """Raise InputError where a file has no line of names, or a name twice."""
    if _are_values(names):
        raise fault(
            "source",
            f"{source!r} has no line of column names: its first line is {listed(names)}; "
            "add a line of names before it",
        )
    _refuse_repeated([name for name in names if name], source)


def _refuse_repeated(names: Sequence[str], source: str) -> None:
    if repeated := [name for name, count in Counter(names).items() if count > 1]:
        raise fault(
            "source",
            f"{source!r} has more than one column {listed(repeated)}; rename or remove the others",
        )


def _are_values(names: Sequence[str]) -> bool:
    """Whether what should be names is a row of values.

    Numbers may be names where they count something at equal steps: years, pixels, wavelengths.
    """
    notations = (Notation(), Notation(decimal=","))
    numbers = [next((n for n in (each.number(name) for each in notations) if n is not None), None)
               for name in names]
    found = [number for number in numbers if number is not None]
    if not found or (len(found) == 1 < len(names) and found[0].is_integer()):
        return False
    if len(found) == 1:
        return True
    steps = np.diff(found)
    if len(found) == 2:
        return not (0 < steps[0] <= 10 and found[0].is_integer() and found[1].is_integer())
    return not bool((np.abs(steps - steps[0]) < 0.1 * abs(steps[0])).all())


def _no_utf8(path: Path, source: str) -> InputError:
    """Return the error of a file in another encoding, with the one that it seems to be in."""
    import charset_normalizer

    where, number, first, sample = f"{source!r} is not UTF-8", 0, b"", b""
    with unpacked(path, repr(source), _TEXT_VALUE) as file:
        start = file.read(4)
    for mark, encoding in ((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")):
        if start.startswith(mark):
            return fault("source", f"{where}, but {encoding}; {_conversion(encoding)}")
    with unpacked(path, repr(source), _TEXT_VALUE) as file:
        for line_number, line in enumerate(file, start=1):
            if line.isascii():
                continue
            try:
                line.decode()
            except UnicodeDecodeError:
                number, first = number or line_number, first or line
            sample += line
            if len(sample) > _SAMPLE:
                break
    sample = sample[:_SAMPLE]
    known = list(_ENCODINGS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        matches = charset_normalizer.from_bytes(sample, cp_isolation=known)
    if b"\0" in sample or not any(_encoding(match, sample)[1] for match in matches):
        return fault(
            "source",
            f"{where} in line {number}, nor in any other known encoding; save it as UTF-8",
        )
    ranked = sorted((m.chaos, -m.coherence, *_encoding(m, sample)) for m in matches)
    likely = [encoding for *_, encoding in ranked if encoding][:_LIKELY]
    read = [
        f"{encoding.upper()} ({_ENCODINGS[encoding]}), where line {number} is "
        f"{quoted(first.decode(encoding, 'replace').strip())}"
        for encoding in likely
    ]
    return fault(
        "source",
        f"{where}, but probably {', or '.join(read)}; {_conversion(likely[0].upper())}",
    )


def _encoding(match: Any, sample: bytes) -> tuple[int, str]:
    """Return the rank of the most usual encoding that a match may be, and its name."""
    known = list(_ENCODINGS)
    ranks = [known.index(name) for name in match.could_be_from_charset if name in known]
    if not ranks:
        return len(known), ""
    encoding = known[min(ranks)]
    if encoding == "cp949":  # Korean text keeps to the common syllables
        try:
            sample.decode("euc_kr")
        except UnicodeDecodeError:
            return len(known), encoding
    return min(ranks), encoding


def _conversion(encoding: str) -> str:
    return f"convert it, for example with: iconv -f {encoding} -t UTF-8"


# Parquet


def _parquet(path: Path, source: str) -> "pd.DataFrame":
    import pandas as pd
    from pyarrow import parquet

    try:
        with path.open("rb") as file:  # a path named key=value would add a column of that name
            metadata = parquet.ParquetFile(file).metadata
            size = path.stat().st_size
            values = metadata.num_rows * max(1, metadata.num_columns)
            if values * 4 > most_unpacked(size, 4):
                promised = f"{metadata.num_rows} rows of {metadata.num_columns} columns"
                way = "write it without dictionary and without compression"
                raise too_much(repr(source), promised, size, way)
            file.seek(0)
            return pd.read_parquet(file, engine="pyarrow")
    except InputError:
        raise
    except Exception as error:  # pyarrow, and pandas on what the file says of itself
        raise fault(
            "source", f"{source!r} is not a complete .parquet file ({reason(error)})"
        ) from error
