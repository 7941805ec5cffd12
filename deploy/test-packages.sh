#!/bin/sh
# Installs the programs that some tests use, where apt can, and says in one line what is missing.
# With CI=true a missing Chromium is a failure, elsewhere the tests that need it are skipped.
# Usage: sh deploy/test-packages.sh FOLDER    (promtool is put into FOLDER, which stands on the tests' PATH)
set -eu

folder=$(cd "$1" && pwd)
PATH="$folder:$PATH"

have() { command -v "$1" >/dev/null 2>&1; }
have_chromium() { have chromium || have chromium-browser || have google-chrome; }

missing() {
    have_chromium || echo chromium
    have kcat || echo kcat
    have promtool || echo promtool
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}

install_package() {
    DEBIAN_FRONTEND=noninteractive as_root apt-get install -y -qq --no-install-recommends "$1" >/dev/null 2>&1
}

# promtool comes with Prometheus; installing that would start a server on the developer's machine.
unpack_promtool() (
    scratch=$(mktemp -d)
    trap 'rm -rf "$scratch"' EXIT
    cd "$scratch"
    chmod 755 "$scratch"
    apt-get download -qq prometheus >/dev/null 2>&1
    dpkg-deb --extract prometheus_*.deb unpacked
    cp unpacked/usr/bin/promtool "$folder/"
)

if [ -n "$(missing)" ] && have apt-get; then
    echo "installing for the tests:" $(missing)
    as_root apt-get update -qq >/dev/null 2>&1 || true
    # One by one: a release that lacks one of them still gives the others.
    have_chromium || install_package chromium || true
    have kcat || install_package kcat || true
    have promtool || unpack_promtool || true
fi

if [ -n "$(missing)" ]; then
    echo "not installed, tests that need them are skipped:" $(missing) >&2
    if [ "${CI:-}" = true ] && ! have_chromium; then
        echo "Chromium is missing: in CI the browser tests must run" >&2
        exit 1
    fi
fi
