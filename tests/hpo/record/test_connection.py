"""What a record, its server or its database say becomes an error of ours, with a remedy."""

import gc
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hpo.errors import HPOError, InputError, RecordRefused, RecordUnavailable
from hpo.record.connection import (
    _check_reachable,
    is_about_content,
    pages,
    translated,
    translation,
    uncollected,
)
from tests.ports import free_ports


class MlflowError(Exception):
    """An error with a code, as those of MLflow have."""

    def __init__(self, text: str, code: str = "") -> None:
        super().__init__(text)
        self.error_code = code


LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (MlflowError("no run\nat all", "RESOURCE_DOES_NOT_EXIST"), RecordRefused, "no run"),
        (MlflowError("run ended", "INVALID_STATE"), RecordRefused, "run ended"),
        (MlflowError("not in lifecycle_stage", "INVALID_PARAMETER_VALUE"), RecordRefused,
         "not in lifecycle_stage"),
        (MlflowError("x. Current state is deleted.", "BAD_REQUEST"), RecordRefused,
         "x. Current state is deleted."),
        (MlflowError("too long", "INVALID_PARAMETER_VALUE"), InputError,
         "MLflow rejected the request: too long"),
        (MlflowError("too long", "BAD_REQUEST"), InputError,
         "MLflow rejected the request: too long"),
        (MlflowError("who?", "UNAUTHENTICATED"), InputError,
         f"MLflow rejected the request: who?; {LOGIN}"),
        (MlflowError("no", "PERMISSION_DENIED"), InputError,
         f"MLflow rejected the request: no; {LOGIN}"),
        (MlflowError("broken", "INTERNAL_ERROR"), RecordUnavailable, "broken"),
        (ValueError(), RecordUnavailable, "ValueError"),
        (OSError("postgresql://a:secret@b/c"), RecordUnavailable, "postgresql://a:***@b/c"),
    ],
)
def test_an_error_of_mlflow_is_one_of_ours(
    error: Exception, kind: type[HPOError], said: str
) -> None:
    meant = translation(error)
    assert (type(meant), str(meant)) == (kind, said)

    def fail() -> None:
        raise error

    with pytest.raises(kind) as caught:
        translated(fail)
    assert caught.value.__cause__ is error


def test_an_error_of_ours_stays_as_it_is() -> None:
    ours = InputError("as it is")

    def fail() -> None:
        raise ours

    with pytest.raises(InputError) as caught:
        translated(fail)
    assert caught.value is ours
    assert translated(lambda: 5) == 5


class DataError(Exception):
    """An error of the name that databases give to that of a value."""


def chained(*errors: BaseException, explicit: bool) -> BaseException:
    for after, before in zip(errors[1:], errors, strict=False):
        setattr(after, "__cause__" if explicit else "__context__", before)
    return errors[-1]


@pytest.mark.parametrize("explicit", [True, False])
def test_an_error_about_content_is_found_behind_others(explicit: bool) -> None:
    for cause in (DataError("x"), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates")):
        assert is_about_content(cause)
        assert is_about_content(chained(cause, KeyError(), RuntimeError(), explicit=explicit))
    assert not is_about_content(chained(OSError(), RuntimeError(), explicit=explicit))
    assert not is_about_content(None)


def test_pages_are_fetched_until_none_follows() -> None:
    class Page(list[int]):
        token: str | None = None

    asked: list[Any] = []

    def fetch(token: str | None) -> Page:
        asked.append(token)
        page = Page([len(asked)])
        page.token = {1: "a", 2: "b", 3: ""}[len(asked)]
        return page

    assert list(pages(fetch)) == [1, 2, 3]
    assert asked == [None, "a", "b"]


def test_the_collector_of_cycles_is_as_before() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


@pytest.fixture
def server() -> Iterator[tuple[str, list[str]]]:
    """Give the address of a server that answers with the code that its user is, and its paths."""
    paths: list[str] = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            paths.append(self.path)
            self.send_response(int(self.path.split("/")[1]))
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{listening.server_port}", paths
        listening.shutdown()
        thread.join()


def test_a_server_that_answers_is_there_even_if_it_asks_who_one_is(
    server: tuple[str, list[str]],
) -> None:
    place, paths = server
    for code in (200, 401, 403, 404):
        _check_reachable(f"http://me:secret@{place}/{code}/")
    assert paths == [f"/{code}/health" for code in (200, 401, 403, 404)]
    with pytest.raises(RecordUnavailable) as caught:
        _check_reachable(f"http://me:secret@{place}/500")
    assert str(caught.value) == (
        f"no MLflow server answers at http://me:***@{place}/500: HTTP Error 500: Internal Server "
        "Error; start it, or check --tracking-uri"
    )


def test_a_server_or_database_that_is_not_there_is_named_without_the_password() -> None:
    (port,) = free_ports(1)
    for scheme, what in (
        ("http", "no MLflow server answers at"), ("postgresql", "cannot open the database at"),
        ("postgresql+psycopg", "cannot open the database at"),
    ):
        with pytest.raises(RecordUnavailable) as caught:
            _check_reachable(f"{scheme}://me:secret@127.0.0.1:{port}/x")
        said = str(caught.value)
        assert said.startswith(f"{what} {scheme}://me:***@127.0.0.1:{port}/x: ")
        assert said.endswith("Connection refused; start it, or check --tracking-uri") or (
            said.endswith("Connection refused>; start it, or check --tracking-uri")
        )


def test_what_need_not_be_reached_is_not_tried() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        for address in (
            f"postgresql://127.0.0.1:{port}/x", "postgresql:///x?host=/tmp", "sqlite:///x.db",
            "postgresql://a:b@h:no/x", "postgresql+psycopg://:1/x",
        ):
            _check_reachable(address)
