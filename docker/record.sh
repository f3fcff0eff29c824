#!/usr/bin/env bash
# Backs up, restores and upgrades the record of a cluster: run by make, on the cluster's machine. COMPOSE
# is the docker compose command, PROJECT the name of the project.
#
#   record.sh backup FOLDER       back up the database and the artifacts to a new folder
#   record.sh restore FOLDER      restore both from it; with FORCE=yes, replace recorded runs
#   record.sh upgrade FOLDER      back up, then upgrade the schema to the installed MLflow
set -euo pipefail
umask 077
uri=postgresql+psycopg://mlflow@postgres/mlflow

fail() { echo "$*" >&2; exit 1; }
compose() { $COMPOSE "$@" </dev/null; }

container() { # of a service, running or not
  docker ps -aq --filter "label=com.docker.compose.project=$PROJECT" \
    --filter "label=com.docker.compose.service=$1" \
    --filter label=com.docker.compose.oneoff=False | head -1
}

ready() { # make sure that the database runs and the volume of the artifacts exists
  [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container postgres)" 2>/dev/null)" = healthy ] ||
    compose up --detach postgres
  for _ in $(seq 60); do
    [ "$(docker inspect -f '{{.State.Health.Status}}' "$(container postgres)")" != healthy ] || break
    sleep 1
  done
  database pg_isready -q || fail "the database does not start; see $COMPOSE logs postgres"
  [ "$(container mlflow)" ] || compose up --no-start mlflow
}

database() { # run a command in the database container; the password never shows in a process list
  docker exec -i "$(container postgres)" sh -c '
    export PGHOST=127.0.0.1 PGUSER=mlflow PGOPTIONS="-c client_min_messages=warning"
    export PGPASSWORD="${POSTGRES_PASSWORD:-}"
    [ "$PGPASSWORD" ] || PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    exec "$@"' sh "$@"
}

query() { database psql -qAt -v ON_ERROR_STOP=1 -d "${2:-mlflow}" -c "$1" </dev/null; }

artifacts() { # run a line of shell in the folder of the artifacts
  local mlflow; mlflow=$(container mlflow)
  docker run --rm -i --network none --cap-drop ALL --security-opt no-new-privileges \
    --volumes-from "$mlflow" --workdir /var/lib/hpo/artifacts --entrypoint sh \
    "$(docker inspect -f '{{.Image}}' "$mlflow")" -euc "$1"
}

refuse_while_studies_run() {
  local head studies; head=$(container ray-head)
  [ "$head" ] && [ "$(docker inspect -f '{{.State.Running}}' "$head")" = true ] || return 0
  studies=$(docker exec "$head" /opt/hpo/docker/entrypoint.sh \
    python /opt/hpo/docker/ray_head.py --running </dev/null 2>/dev/null) ||
    fail "cannot tell whether studies are running on ray-head; stop it with make cluster-down"
  [ -z "$studies" ] || fail "studies are running: $(echo $studies); stop them with hpo cancel"
}

runs() {
  local table; table=$(query "select to_regclass('public.runs')")
  if [ "$table" ]; then query 'select count(*) from runs'; else echo 0; fi
}

schema() { # the revisions of the record and of the users
  echo $(query 'select version_num from alembic_version
    union all select version_num from alembic_version_auth')
}

backup() {
  local to=$1 partial=$1.partial
  [ ! -e "$to" ] || fail "$to already exists; choose another folder"
  ready
  mkdir -p "$(dirname "$to")"
  rm -rf "$partial"; mkdir "$partial"
  trap 'rm -rf "'"$partial"'"' EXIT
  # The database first: everything it refers to is then among the artifacts.
  database pg_dump --format=custom mlflow </dev/null >"$partial/record.dump"
  # A file that a study is writing makes tar exit with 1; the next round writes it again.
  artifacts 'tar --exclude=./.restored -cf - . || [ $? = 1 ]' </dev/null >"$partial/artifacts.tar"
  database pg_restore --list <"$partial/record.dump" >/dev/null
  tar -tf "$partial/artifacts.tar" >/dev/null
  (cd "$partial" && sha256sum record.dump artifacts.tar >SHA256SUMS)
  sync "$partial"/* "$partial"
  mv -T "$partial" "$to"
  trap - EXIT
  echo "$to holds the record: $(runs) runs and their artifacts, $(du -sh "$to" | cut -f1)"
}

restore() {
  local from=$1 found
  [ -d "$from" ] || fail "$from: no such folder"
  (cd "$from" && sha256sum --check --quiet --strict SHA256SUMS) >/dev/null 2>&1 &&
    [ "$(wc -l <"$from/SHA256SUMS")" = 2 ] || fail "$from is not a complete backup: its files do not match SHA256SUMS"
  refuse_while_studies_run
  ready
  found=$(runs)
  [ "$found" = 0 ] || [ "${FORCE:-}" = yes ] ||
    fail "$found recorded runs would be lost; back them up, then pass FORCE=yes"
  compose stop ray-worker ray-head mlflow-user mlflow
  # Restore next to the existing record first, so that an unreadable backup costs nothing.
  query 'drop database if exists restored' postgres
  query "create database restored template template0 encoding 'UTF8'" postgres
  database pg_restore --exit-on-error --no-owner --dbname restored <"$from/record.dump"
  artifacts 'rm -rf .restored; mkdir .restored; tar -C .restored -xf -' <"$from/artifacts.tar"
  query 'drop database if exists replaced' postgres
  query 'begin; alter database mlflow rename to replaced;
    alter database restored rename to mlflow; commit' postgres
  artifacts 'find . -mindepth 1 -maxdepth 1 ! -name .restored -exec rm -rf {} +
    find .restored -mindepth 1 -maxdepth 1 -exec mv -t . {} +; rmdir .restored' </dev/null
  query 'drop database replaced' postgres
  echo "restored $(runs) runs from $from"
}

upgrade() {
  local before; refuse_while_studies_run
  backup "$1"
  before=$(schema)
  compose stop ray-worker ray-head mlflow-user mlflow
  { compose run --rm -T --no-deps mlflow mlflow db upgrade "$uri" &&
    compose run --rm -T --no-deps mlflow python -m mlflow.server.auth db upgrade --url "$uri"; } ||
    fail "upgrading the schema failed; to go back, use the previous image and make cluster-restore BACKUP=$1 FORCE=yes"
  echo "schema: $before -> $(schema)"
}

case ${1:-} in
  backup | restore | upgrade)
    [ "${2:-}" ] || fail "BACKUP is not set; run make cluster-$1 BACKUP=backups/DATE"
    "$1" "${2%/}" ;;
  *) sed -n '2,7s/^# \?//p' "$0"; exit 2 ;;
esac
