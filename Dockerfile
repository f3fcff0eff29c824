# One image for the MLflow server, the nodes of the Ray cluster, and the studies that run on it.
# To pin the base image, add its digest: python:3.11-slim-bookworm@sha256:…
ARG PYTHON_IMAGE=python:3.11-slim-bookworm
FROM ${PYTHON_IMAGE} AS base

# A private package index, if you have one: docker build --build-arg PIP_INDEX_URL=…
# It stays in the history of the image, so it must not contain a password.
ARG PIP_INDEX_URL

ENV PATH=/opt/hpo/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1


FROM base AS packages

RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils

# The packages, pinned as for a local installation; pip compiles them, so no process has to later.
COPY requirements.lock /opt/hpo/
RUN python3 -m venv /opt/hpo \
 && pip install -q --require-hashes --only-binary :all: -r /opt/hpo/requirements.lock

# What nothing here uses goes: tests of packages, Ray's Java and its reinforcement learning,
# C headers, source maps of web pages, and the symbols of libraries, which only debuggers read.
# Libraries that a wheel has repacked (in *.libs) stay as they are: strip can break them.
RUN cd /opt/hpo/lib/python3*/site-packages \
 && rm -r ray/jars ray/rllib pyarrow/include \
 && find . -type d -name tests -prune -exec rm -r {} + \
 && find . -type f -name '*.js.map' -delete \
 && find . -type f \( -name '*.so' -o -name '*.so.*' -o -name raylet -o -name gcs_server \) \
      -not -path '*.libs/*' -exec strip --strip-unneeded {} +


FROM base

RUN useradd --create-home --uid 1000 hpo \
 && install -d -o hpo -g hpo -m 700 /var/lib/hpo/outbox /var/lib/hpo/artifacts \
    /var/lib/hpo/checkpoints

COPY --from=packages /opt/hpo /opt/hpo

# The code, in its own layer: when it changes, a new image differs only in this layer.
COPY . /tmp/hpo/
RUN pip install -q --no-deps --no-build-isolation /tmp/hpo \
 && cp -r /tmp/hpo/docker /opt/hpo/docker && rm -r /tmp/hpo

ENV HPO_OUTBOX=/var/lib/hpo/outbox \
    MLFLOW_DISABLE_TELEMETRY=true \
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
    RAY_AUTH_MODE=token \
    RAY_USAGE_STATS_ENABLED=0

USER hpo
WORKDIR /home/hpo
ENTRYPOINT ["/opt/hpo/docker/entrypoint.sh"]
