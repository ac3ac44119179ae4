#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Runs unit tests: run_unit.sh PROGRAM..., JOBS of them at once (1).
#
# All run, even when one fails. What fails is run again, alone and twice at most, as others use the
# machine too; it is told, with what it said. What a sanitizer reports is a mistake at the first time.
set -u
tries=3
failed=()
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

# First try: what it says, as a whole, when it is over; of a failure later.
run_first() {
	local program=$1 log=$logs/$2

	if "$program" >"$log" 2>&1; then
		printf '%s\n%s\n' "$program" "$(cat "$log")"
		rm "$log"
	fi
}

# Whether the failure that this log tells is to be tried again.
is_chance() {
	! grep -qE '(Address|Leak|Thread|UndefinedBehavior)Sanitizer|: runtime error: ' "$1"
}

run_again() {
	local program=$1 log=$logs/$2 try

	echo "$program"
	for ((try = 2; try <= tries; try++)); do
		is_chance "$log" || break
		sed 's/^/    /' "$log"
		echo "again: $program"
		"$program" >"$log" 2>&1 && { cat "$log"; return; }
	done
	cat "$log"
	failed+=("$program")
}

i=0
for program; do
	while [ "$(jobs -rp | wc -l)" -ge "${JOBS:-1}" ]; do
		wait -n
	done
	run_first "$program" "$i" &
	((++i))
done
wait
i=0
for program; do
	[ ! -e "$logs/$i" ] || run_again "$program" "$i"
	((++i))
done
[ "${#failed[@]}" -eq 0 ] || { echo "failed: ${failed[*]}" >&2; exit 1; }
