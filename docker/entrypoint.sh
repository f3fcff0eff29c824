#!/bin/sh
# Runs a command with the secrets of its container: each X as it is, or from the file that X_FILE names.
# An empty one is refused: it would be no password at all.
set -eu
fail() { echo "$*" >&2; exit 1; }
for name in PGPASSWORD MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY \
  MLFLOW_TRACKING_PASSWORD RAY_AUTH_TOKEN; do
  eval "known=\${$name+yes} value=\${$name-} file=\${${name}_FILE-}"
  if [ "$file" ]; then
    [ -z "$value" ] || fail "$name and ${name}_FILE are both set: give one of them"
    [ -r "$file" ] || fail "${name}_FILE: $file cannot be read by user $(id -u)"
    value=$(cat "$file")
    [ "$value" ] || fail "${name}_FILE: $file is empty"
    export "$name=$value"
    unset "${name}_FILE"
  elif [ "$known" ] && [ -z "$value" ]; then
    fail "$name is empty: give it a value, or name its file in ${name}_FILE"
  fi
done
exec "$@"
