#!/bin/sh
# Runs a command with the secrets of its container: each X as it is set, or from the file named in X_FILE.
# Empty secrets are not allowed: they would mean no password at all.
set -eu
fail() { echo "$*" >&2; exit 1; }
for name in PGPASSWORD MLFLOW_AUTH_ADMIN_PASSWORD MLFLOW_FLASK_SERVER_SECRET_KEY \
  MLFLOW_TRACKING_PASSWORD RAY_AUTH_TOKEN; do
  eval "known=\${$name+yes} value=\${$name-} file=\${${name}_FILE-}"
  if [ "$file" ]; then
    [ -z "$value" ] || fail "$name and ${name}_FILE are both set; set only one of them"
    [ -r "$file" ] || fail "${name}_FILE: user $(id -u) cannot read $file"
    value=$(cat "$file")
    [ "$value" ] || fail "${name}_FILE: $file is empty"
    export "$name=$value"
    unset "${name}_FILE"
  elif [ "$known" ] && [ -z "$value" ]; then
    fail "$name is empty; give it a value, or set ${name}_FILE to a file that holds it"
  fi
done
exec "$@"
