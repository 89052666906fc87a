#!/bin/sh
# Runs `npm ci --ignore-scripts && npm test` on a copy of what is committed or added here, once for each Node version and
# account: as the caller, and, when that is root, as an ordinary user too. Arguments go to npm test:
#
#   scripts/try-node-versions.sh                      everything (long)
#   scripts/try-node-versions.sh --no-lint embedded   some test files
#
# NODES="20 24" names the versions; their binaries come from npm's packages node-<system>-<cpu>.
# TRY_USER=name names the ordinary user (default: nobody). KEEP=1 keeps the copies.
set -eu
cd "$(dirname "$0")/.."

system=$(node -p 'process.platform === "win32" ? "win" : process.platform')
cpu=$(node -p process.arch)
npm_cli=$(npm root -g 2>/dev/null)/npm/bin/npm-cli.js
registry=$(npm config get registry 2>/dev/null)

# Folders of mode 755 on the way, so that the ordinary user gets in.
work=$(mktemp -d "${TMPDIR:-/tmp}/pprox-try-XXXXXX")
chmod 755 "$work"
[ -n "${KEEP:-}" ] || trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

install_node() { # major
  mkdir -p "$work/node-$1"
  (cd "$work/node-$1" && echo '{}' >package.json && npm install --silent --ignore-scripts "node-$system-$cpu@$1")
  "$work/node-$1/node_modules/node-$system-$cpu/bin/node" --version
}

run() { # major, account, test arguments
  major=$1 account=$2
  shift 2
  copy="$work/$account-$major"
  mkdir -p "$copy/home" "$copy/clone"
  git ls-files -z | tar -c --null -T - | tar -x -C "$copy/clone"
  # What scripts/install-clients.sh has put there; an interpreter below the caller's home is of no use to another account.
  if [ "$account" = "$(id -un)" ] && [ -d .clients ]; then cp -R .clients "$copy/clone/"; fi
  path="$work/node-$major/node_modules/node-$system-$cpu/bin:$PATH"
  # npm itself runs on the version under test; its settings come from the caller, not from the account's home.
  script='cd "$1" && shift && node "$NPM_CLI" ci --ignore-scripts --no-audit --no-fund && node "$NPM_CLI" test -- "$@"'
  set -- env HOME="$copy/home" PATH="$path" NPM_CLI="$npm_cli" npm_config_registry="$registry" CI="${CI:-}" \
    npm_config_cache="$copy/home/npm" sh -c "$script" sh "$copy/clone" "$@"
  if [ "$account" = "$(id -un)" ]; then
    "$@"
  else
    chown -R "$account" "$copy"
    setpriv --reuid "$account" --regid "$(id -g "$account")" --clear-groups "$@"
  fi
}

accounts=$(id -un)
[ "$(id -u)" != 0 ] || accounts="$accounts ${TRY_USER:-nobody}"
failed=''
for major in ${NODES:-20 24}; do
  echo "== Node $major: $(install_node "$major")"
  for account in $accounts; do
    echo "== Node $major as $account"
    if run "$major" "$account" "$@" >"$work/$account-$major.log" 2>&1; then
      grep -E '^(ℹ|#) (tests|pass|fail|skipped) ' "$work/$account-$major.log" || true
    else
      failed="$failed $account/$major"
      tail -n 60 "$work/$account-$major.log"
    fi
  done
done
[ -z "$failed" ] || { echo "Failed:$failed" >&2; exit 1; }
echo 'All passed.'
