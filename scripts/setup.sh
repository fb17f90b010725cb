#!/usr/bin/env bash
# Installs what building and testing millrace needs beside Rust, on Debian and Ubuntu; with the argument `servers` also the
# Python of the real model servers. Says what it does; with everything there it does nothing. Elsewhere it names what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

# Java reports itself as 1.8.0 up to 8, as 17.0.15 or 21 since.
java_is_new_enough() {
  local version
  has java || return 1
  version=$(java -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
  [ "${version:-0}" -ge 17 ]
}

with_servers=
case ${1:-} in
  '') ;;
  servers) with_servers=1 ;;
  *) die "unknown argument $1; there is only: servers" ;;
esac

# A package and what it is for, one a line, for each thing that is missing.
missing() {
  if ! has cc || ! has c++; then echo "build-essential|a C compiler for librdkafka"; fi
  has make || echo "make|builds librdkafka"
  if ! has pkg-config; then
    echo "pkg-config|finds the headers"
    echo "libssl-dev|OpenSSL headers"
    echo "zlib1g-dev|zlib headers"
  else
    pkg-config --exists openssl || echo "libssl-dev|OpenSSL headers"
    pkg-config --exists zlib || echo "zlib1g-dev|zlib headers"
  fi
  java_is_new_enough || echo "JAVA|Java 17 or newer, runs the test broker"
  has mvn || echo "maven|brings the test broker's jars"
  has openssl || echo "openssl|makes the test broker's certificates"
  has flock || echo "util-linux|flock, for the test broker"
  [ -z "$with_servers" ] || tests/servers/install.sh python >/dev/null ||
    echo "PYTHON|Python 3.11 or 3.12 with venv, runs the real model servers"
}

# The distribution's newest runtime of long support.
java_package() {
  local version
  for version in 21 17 25; do
    if apt-cache show "openjdk-$version-jre-headless" >/dev/null 2>&1; then
      echo "openjdk-$version-jre-headless"
      return
    fi
  done
  die "this distribution has no OpenJDK 17 or newer: install one by hand"
}

# The newest Python with which the servers run. The package brings the interpreter, and pip for virtual environments.
python_package() {
  local version
  for version in 3.12 3.11; do
    if apt-cache show "python$version-venv" >/dev/null 2>&1; then
      echo "python$version-venv"
      return
    fi
  done
  die "this distribution has no Python 3.11 or 3.12: install one by hand and name it in MILLRACE_PYTHON"
}

has cargo || die "cargo is missing: install Rust with rustup (rust-toolchain.toml names the version)"

wanted=$(missing)
if [ -z "$wanted" ]; then
  say "all there"
  exit 0
fi
say "missing:"
while IFS='|' read -r package purpose; do
  package=${package/JAVA/openjdk-17-jre-headless}
  say "  ${package/PYTHON/python3-venv} ($purpose)"
done <<<"$wanted"

has apt-get || die "no apt-get here: install the above under the names your system has for them, then run this again"
as_root=()
if [ "$(id -u)" != 0 ]; then
  has sudo || die "not root and no sudo: have an administrator install the above"
  as_root=(sudo)
fi

say "reading the package lists"
"${as_root[@]}" apt-get update -qq
packages=()
while IFS='|' read -r package _; do
  case $package in
    JAVA) package=$(java_package) ;;
    PYTHON) package=$(python_package) ;;
  esac
  packages+=("$package")
done <<<"$wanted"
say "installing ${packages[*]}"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}"

wanted=$(missing)
[ -z "$wanted" ] || die "still missing after the installation: $(cut -d'|' -f1 <<<"$wanted" | tr '\n' ' ')"
say "done"
