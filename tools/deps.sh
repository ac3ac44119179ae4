#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install the Debian packages that building and testing need and that are missing.
set -eu

packages="gcc clang make pkg-config libc6-dev libsqlite3-dev libzstd-dev libelf-dev check
	python3 sqlite3 clang-format clang-tidy cppcheck ca-certificates"

missing=
for p in $packages; do
	dpkg-query -W -f='${Status}\n' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

echo "make deps: installing$missing"
if [ "$(id -u)" -eq 0 ]; then
	root=
elif command -v sudo >/dev/null 2>&1; then
	root=sudo
else
	echo "make deps: these Debian packages are missing:$missing" >&2
	echo "make deps: install them as root: apt-get install$missing" >&2
	exit 1
fi
# A stale package list is refreshed only when it has to be.
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing ||
	{ $root apt-get update && $root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $missing; }
