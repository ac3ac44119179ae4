#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs unit tests: run_unit.sh PROGRAM...
#
# All run, even when one fails. What fails is run again, twice at most, as others use the machine
# too; it is told, with what it said. What a sanitizer reports is a mistake at the first time.
set -u
tries=3
failed=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

for program; do
	echo "$program"
	for ((try = 1; ; try++)); do
		"$program" >"$log" 2>&1 && break
		if [ "$try" -eq "$tries" ] ||
			grep -qE '(Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: ' "$log"; then
			failed+=("$program")
			break
		fi
		sed 's/^/    /' "$log"
		echo "again: $program"
	done
	cat "$log"
done
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
