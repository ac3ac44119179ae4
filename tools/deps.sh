#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install the Debian packages that are missing.
#
#     tools/deps.sh [build | check | bench | lint | fuzz]...     what these need; default: all
set -eu

build="gcc make pkg-config libc6-dev libsqlite3-dev libzstd-dev libelf-dev libinih-dev libevent-dev libseccomp-dev libsystemd-dev libjson-c-dev libunwind-dev liblzma-dev libncurses-dev zlib1g-dev nettle-dev python3"
check="$build check ca-certificates chromium debian-archive-keyring mount protobuf-compiler sqlite3 systemd tmux valgrind zstd"
# Other packages of Node.js bring their own npm, and Debian's is not installable beside them.
command -v npm >/dev/null 2>&1 || check="$check nodejs npm"
bench="$build austin chromium ca-certificates debian-archive-keyring"
lint="$check clang clang-format clang-tidy cppcheck shellcheck libc6-dev-arm64-cross"
fuzz="$build clang libclang-rt-dev"

wanted=
for step in "${@:-all}"; do
	case $step in
	build) wanted="$wanted $build" ;;
	check) wanted="$wanted $check" ;;
	bench) wanted="$wanted $bench" ;;
	lint) wanted="$wanted $lint" ;;
	fuzz) wanted="$wanted $fuzz" ;;
	all) wanted="$wanted $check $bench $lint $fuzz" ;;
	*)
		echo "tools/deps.sh: unknown step $step: give build, check, bench, lint or fuzz" >&2
		exit 2
		;;
	esac
done

missing=
for p in $wanted; do
	case " $missing " in *" $p "*) continue ;; esac
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

install() {
	# One word per package; $root may be no word at all.
	# shellcheck disable=SC2086
	$root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y --no-install-recommends $missing </dev/null
}

# A stale package list is refreshed only when it has to be.
install || { $root apt-get update && install; }
