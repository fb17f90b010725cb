#!/usr/bin/env bash
# Installs the real model servers of `make test-servers` from PyPI, each in a virtual environment of its own under target/servers.
# What is there and whole is left alone; what another version or an interrupted run left is made anew.
#
#   tests/servers/install.sh           install what is missing
#   tests/servers/install.sh python    print the Python that serves: $MILLRACE_PYTHON, or one of the path that the servers run on
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$here/../../target/servers

say() { printf 'servers: %s\n' "$*"; }
die() { printf 'servers: %s\n' "$*" >&2; exit 1; }

# MLServer 1.7.1 runs on none newer than 3.12, the pinned numpy and scikit-learn on none older than 3.11. Debian's venv is a
# package of its own: without it ensurepip is missing.
serves() {
  "$1" -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

python() {
  local candidate
  for candidate in ${MILLRACE_PYTHON:-python3 python3.12 python3.11}; do
    if serves "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# The constraints name every package with its version; this Python and the packages asked for are part of the stamp too.
stamp() { printf '%s\n' "$interpreter" "$("$interpreter" -V)" "$@" | cat - "$here/$1.txt" | sha256sum | cut -d' ' -f1; }

install() {  # name of the environment and of its constraints, packages
  local name=$1 home=$folder/$1 wanted begun=$SECONDS
  shift
  wanted=$(stamp "$name" "$@")
  if [ "$(cat "$home/stamp" 2>/dev/null)" = "$wanted" ]; then
    return
  fi
  say "installing $name into ${home#"$PWD"/}: takes a minute or two"
  rm -rf "$home"
  "$interpreter" -m venv "$home"
  # By the variable, not by --constraint, they hold for what builds a package from source too.
  PIP_CONSTRAINT=$here/$name.txt "$home/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" \
    >"$home/pip.log" 2>&1 || { tail -n 20 "$home/pip.log" >&2; die "pip cannot install $name: see $home/pip.log"; }
  "$home/bin/python" -m pip check >>"$home/pip.log" 2>&1 || { tail -n 20 "$home/pip.log" >&2; die "$name is not whole: see $home/pip.log"; }
  printf '%s\n' "$wanted" >"$home/stamp"
  say "installed $name in $((SECONDS - begun)) s"
}

case ${1:-} in
  '') ;;
  python) python; exit ;;
  *) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 64 ;;
esac
interpreter=$(python) || die "Python 3.11 or 3.12 with venv is missing: scripts/setup.sh servers installs it, or name one in MILLRACE_PYTHON"
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
exec 9>"$folder/lock"
flock 9
install mlserver mlserver mlserver-sklearn
install kserve kserve scikit-learn
install seldon seldon-core scikit-learn setuptools
say "all there"
