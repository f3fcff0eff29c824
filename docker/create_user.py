"""Create hpo's own user on the MLflow server, or set its password if the user exists.

Reads MLFLOW_TRACKING_URI, MLFLOW_AUTH_ADMIN_PASSWORD, MLFLOW_TRACKING_USERNAME and
MLFLOW_TRACKING_PASSWORD.
"""

import base64
import json
import os
import sys
import urllib.error
import urllib.request

USERS = os.environ["MLFLOW_TRACKING_URI"] + "/api/2.0/mlflow/users"
NAME, PASSWORD = os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]
ADMIN = ("admin", os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"])


def status(method: str, path: str, body: dict[str, str] | None, user: tuple[str, str]) -> int:
    """Send a request as `user` and return the HTTP status of the answer."""
    credentials = base64.b64encode(":".join(user).encode()).decode()
    request = urllib.request.Request(
        f"{USERS}/{path}",
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Basic {credentials}", "Content-Type": "application/json"},
        method=method,
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def main() -> None:
    """Create the user, or set its password if it differs."""
    own = (NAME, PASSWORD)
    found = status("GET", f"get?username={NAME}", None, ADMIN)
    body = {"username": NAME, "password": PASSWORD}
    if found == 404:
        done = status("POST", "create", body, ADMIN)
    elif found == 200 and status("GET", f"get?username={NAME}", None, own) == 401:
        done = status("PATCH", "update-password", body, ADMIN)
    else:
        done = found
    if done != 200:
        sys.exit(f"the MLflow server answered with status {done}; MLFLOW_AUTH_ADMIN_PASSWORD must "
                 "be the password that the server was first started with")
    print(f"the MLflow user {NAME} is ready")


if __name__ == "__main__":
    main()
