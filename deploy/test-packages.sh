#!/bin/sh
# Installs the system packages that some tests use, where apt may be used, and says in one line what is missing.
# With CI=true a missing Chromium is a failure, elsewhere the browser tests are skipped.
set -eu

have_chromium() { command -v chromium || command -v chromium-browser || command -v google-chrome; }

missing() {
    have_chromium >/dev/null || echo chromium
    command -v kcat >/dev/null || echo kcat
    command -v promtool >/dev/null || echo prometheus
}

as_root=
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo -n"
    sudo -n true 2>/dev/null || as_root=no
fi

if [ -n "$(missing)" ] && [ "$as_root" != no ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    echo "installing for the tests:" $(missing)
    $as_root apt-get update -qq || true
    # One at a time: a release that lacks one of them still gives the others.
    for package in $(missing); do
        $as_root apt-get install -y -qq --no-install-recommends "$package" >/dev/null 2>&1 || true
    done
fi

if [ -n "$(missing)" ]; then
    echo "not installed, tests that need them are skipped:" $(missing) >&2
    if [ "${CI:-}" = true ] && ! have_chromium >/dev/null; then
        echo "Chromium is missing: the browser tests must run in CI" >&2
        exit 1
    fi
fi
