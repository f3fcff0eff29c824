"""Run the Ray head; at shutdown, stop the studies first, so that they can finish their records.

    ray_head.py COMMAND…    start Ray with this command
    ray_head.py --running   print the running studies
    ray_head.py --stop      stop them, and wait until they have ended

Reads RAY_AUTH_TOKEN and RAY_JOB_STOP_WAIT_TIME_S.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from typing import Any

JOBS = "http://127.0.0.1:8265/api/jobs/"


def ask(method: str, path: str = "") -> Any:
    """Send a request to Ray's job API, and return its answer."""
    request = urllib.request.Request(
        JOBS + path,
        headers={"Authorization": f"Bearer {os.environ['RAY_AUTH_TOKEN']}"},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def running() -> dict[str, str]:
    """Return the running jobs, and the study of each."""
    return {
        job["submission_id"]: (job.get("metadata") or {}).get("study", job["submission_id"])
        for job in ask("GET")
        if job["submission_id"] and job["status"] in ("PENDING", "RUNNING")
    }


def stop_studies() -> None:
    """Stop all jobs as `hpo cancel` would, and wait until they have ended.

    Ray kills jobs that take longer than RAY_JOB_STOP_WAIT_TIME_S.
    """
    try:
        jobs = running()
        for job, study in jobs.items():
            print(f"stopping the study {study}", flush=True)
            ask("POST", f"{job}/stop")
        end = time.monotonic() + float(os.environ["RAY_JOB_STOP_WAIT_TIME_S"]) + 5
        while jobs and running() and time.monotonic() < end:
            time.sleep(0.2)
    except OSError as error:  # Ray has ended, or has not started
        print(f"cannot stop studies: {error}", file=sys.stderr, flush=True)


def main() -> None:
    """Run Ray until it ends or this process is asked to stop."""
    if sys.argv[1:] == ["--running"]:
        print("\n".join(running().values()))
        return
    if sys.argv[1:] == ["--stop"]:
        stop_studies()
        return
    ray = subprocess.Popen(sys.argv[1:])

    def stop(*_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        stop_studies()
        ray.terminate()

    signal.signal(signal.SIGTERM, stop)
    sys.exit(ray.wait())


if __name__ == "__main__":
    main()
