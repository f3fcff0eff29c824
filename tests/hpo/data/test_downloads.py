"""A source at an address is fetched once, whole, and never with a password."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hpo.data import downloads, sources
from hpo.data.loading import load
from hpo.data.settings import DataSettings
from hpo.errors import InputError

TABLE = "x,y\n" + "".join(f"{row},{'ab'[row % 2]}\n" for row in range(40))


class Site(ThreadingHTTPServer):
    """Serves a table, cut short at /short.csv, and counts who asks."""

    asked = 0

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, Site)
        self.server.asked += 1
        name = self.path.split("?")[0]
        if name == "/moved.csv":
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
            return
        if name not in ("/table.csv", "/short.csv"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(TABLE)))
        self.end_headers()
        self.wfile.write(TABLE.encode()[: 20 if name == "/short.csv" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("HPO_CACHE", str(tmp_path / "cache"))
    with Site(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def error_of(source: str) -> str:
    with pytest.raises(InputError) as error:
        load(DataSettings(source=source, target="y"), seed=0, folder=Path())
    assert str(error.value).startswith("[data] source: ")
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_table_is_fetched_once_and_is_the_file(site: Site, tmp_path: Path) -> None:
    address = f"{site.address}/table.csv?version=2"
    first = load(DataSettings(source=address, target="y"), seed=0, folder=Path())
    again = load(DataSettings(source=address, target="y"), seed=0, folder=Path())
    (tmp_path / "table.csv").write_text(TABLE)
    file = load(DataSettings(source="table.csv", target="y"), seed=0, folder=tmp_path)
    assert first.description.digest == again.description.digest == file.description.digest
    assert first.description.source == address
    assert site.asked == 1


def test_what_is_cut_short_is_no_source_and_is_not_kept(site: Site, tmp_path: Path) -> None:
    for asked in (1, 2):
        assert f"20 of {len(TABLE)} bytes" in error_of(f"{site.address}/short.csv")
        assert site.asked == asked
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("{}/none.csv", "404"),
        ("{}/moved.csv", "file:///etc/passwd"),
        ("{}/", "does not name a file"),
        ("{}", "does not name a file"),
        ("https://", "does not name a file"),
        ("http://127.0.0.1:9/table.csv", "cannot be downloaded"),
        ("http://[::1/table.csv", "is not a valid address"),
        ("http://127.0.0.1:port/table.csv", "cannot be downloaded"),
    ],
)
def test_what_cannot_be_fetched_is_a_line_with_the_remedy(
    site: Site, address: str, what: str
) -> None:
    assert what in error_of(address.format(site.address))


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    text = error_of("https://me:hidden@127.0.0.1/table.csv")
    assert "password" in text
    assert "hidden" not in text


@pytest.mark.parametrize("source", ["https://x.org/t.csv", "HTTP://x.org/t.csv"])
def test_an_address_is_not_beside_the_study_file(source: str) -> None:
    assert downloads.is_address(source)
    assert not sources.is_beside(source)


@pytest.mark.parametrize("source", ["t.csv", "https.csv", "http/t.csv", "../mnist"])
def test_a_relative_path_is_beside_the_study_file(source: str) -> None:
    assert sources.is_beside(source)


def test_the_cache_is_where_the_user_has_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HPO_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert downloads.cache() == tmp_path / "hpo"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert downloads.cache() == tmp_path / ".cache" / "hpo"
