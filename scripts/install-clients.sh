#!/bin/sh
# Installs the programs that the client tests drive: psql, pg_dump, pgbench, sysbench, SQLsmith, psycopg2, DBD::Pg, Go and Java from
# the system's packages, and into .clients, pinned, psycopg 3 and PgJDBC; fetches the modules of the Go client. For Debian and Ubuntu, as
# root. Does nothing, quickly, when all of them are there.
#
#   scripts/install-clients.sh          what the tests drive
#   scripts/install-clients.sh bench    and the proxies that `npm run bench` compares with: PgBouncer and Pgpool-II
set -eu
cd "$(dirname "$0")/.."

missing=''
need() { # package, command that succeeds when it is there
  package=$1
  shift
  "$@" >/dev/null 2>&1 || missing="$missing $package"
}

go_there() { command -v go || [ -x /usr/local/go/bin/go ]; }
pgpool_there() { command -v pgpool || [ -x /usr/sbin/pgpool ]; }
pgbouncer_there() { command -v pgbouncer || [ -x /usr/sbin/pgbouncer ]; }

# Compiled once, so that the tests themselves need neither the network nor a minute.
build_go_clients() {
  go=$(command -v go || echo /usr/local/go/bin/go)
  (cd tests/clients/pgx && GOTOOLCHAIN=local "$go" build -mod=readonly -o /dev/null . &&
    GOTOOLCHAIN=local "$go" build -mod=readonly -o /dev/null ./extended)
}

requirements=tests/clients/psycopg3/requirements.txt
install_psycopg3() {
  cmp -s "$requirements" .clients/python/requirements.txt && return
  rm -rf .clients/python
  python3 -m venv .clients/python
  .clients/python/bin/python3 -m pip install --quiet --disable-pip-version-check --only-binary :all: -r "$requirements"
  cp "$requirements" .clients/python/requirements.txt
}

pgjdbc=org.postgresql:postgresql:42.7.8
pgjdbc_sha256=2a32a9dcbc42d67a50ad3a0de5efd102c8d2be46720045f2cbd6689f160ab7c7
install_pgjdbc() {
  [ -f .clients/java/postgresql.jar ] && check_pgjdbc && return
  mkdir -p .clients/java
  mvn --quiet --batch-mode org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy \
    -Dartifact="$pgjdbc" -DoutputDirectory="$PWD/.clients/java" -Dmdep.stripVersion=true
  check_pgjdbc
}
check_pgjdbc() { echo "$pgjdbc_sha256  .clients/java/postgresql.jar" | sha256sum --check --quiet; }

install_others() {
  build_go_clients
  install_psycopg3
  install_pgjdbc
}

need postgresql-client command -v psql
need postgresql-client command -v pg_dump
need postgresql-contrib command -v pgbench
need sysbench command -v sysbench
need sqlsmith command -v sqlsmith
need python3-psycopg2 /usr/bin/python3 -c 'import psycopg2'
need libdbd-pg-perl /usr/bin/perl -MDBD::Pg -e 1
need golang-go go_there
need python3-venv python3 -c 'import ensurepip, venv'
need default-jdk-headless command -v javac
need maven command -v mvn
case ${1:-} in
  '') ;;
  bench)
    need pgbouncer pgbouncer_there
    need pgpool2 pgpool_there
    ;;
  *)
    echo "Unknown argument: $1 (there is one: bench)" >&2
    exit 2
    ;;
esac

[ -n "$missing" ] || { install_others; exit 0; }

if ! command -v apt-get >/dev/null || [ "$(id -u)" != 0 ]; then
  echo "Missing for the client tests:$missing. Run this script as root on Debian or Ubuntu, or install them by hand." >&2
  exit 1
fi

# pgbench comes with the server's package, which would otherwise create and start a cluster of its own.
if [ ! -e /etc/postgresql-common ]; then
  mkdir -p /etc/postgresql-common/createcluster.d
  echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/pprox-tests.conf
fi

export DEBIAN_FRONTEND=noninteractive
install() {
  # shellcheck disable=SC2086 -- a list of words
  apt-get install -y -q --no-install-recommends $missing
}
# Package lists may be missing or too old; fetching them takes longer than most installations.
install || { apt-get update -q && install; }
install_others
