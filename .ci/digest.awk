# SPDX-License-Identifier: BSD-3-Clause
# What failed, out of the output of one step: failed assertions of Check, tracebacks of unittest,
# what a sanitizer found; of anything else how it ended. Then each failed test by name once more,
# for who sees only the end.
#
#   awk -v lines=N -v step=NAME -f digest.awk LOG    at most about N lines

BEGIN {
	width = 200
	names_max = 12
	end_max = 15
	traceback_max = 25
}

function cut(text) {
	return length(text) > width ? substr(text, 1, width - 3) "..." : text
}

{
	sub(/\r$/, "")
	all[NR] = cut($0)
}

# A failure of unittest: a double rule, a heading, maybe a docstring, a rule, the traceback, and
# an empty line before the next rule. A test may print what looks like it; then a little more is shown.
/^======================================================================$/ {
	state = "heading"
	next
}
state == "heading" {
	state = ""
	if ($0 ~ /^(FAIL|ERROR): /) {
		n_failures++
		heading[n_failures] = cut($0)
		first[n_failures] = last[n_failures] = NR + 1
		state = "about"
	}
	next
}
state == "about" && /^----------------------------------------------------------------------$/ {
	first[n_failures] = NR + 1
	last[n_failures] = NR
	state = "traceback"
	next
}
state == "traceback" && /^----------------------------------------------------------------------$/ {
	state = ""
}
state == "traceback" && NF {
	last[n_failures] = NR
}

# file:line:F: or E: with suite, test and what was expected.
state == "" && /^[^ :]+:[0-9]+:[FE]:/ {
	found[++n_found] = cut($0)
}
# Of a program of tests that ended otherwise.
state == "" && /^failed: |^failed for good: |: (fatal )?error: |: runtime error: |^SUMMARY: [A-Za-z]+Sanitizer|^make.*\*\*\* / {
	other[++n_other] = cut($0)
}

function show_failure(i, most,    line) {
	print heading[i]
	line = last[i] - most + 1
	if (line > first[i])
		print "  [...]"
	else
		line = first[i]
	for (; line <= last[i]; line++)
		print "  " all[line]
}

END {
	print "--- " step
	room = lines - 1
	n_names = n_failures < names_max ? n_failures : names_max
	room -= n_names

	if (!n_failures && !n_found) {
		line = NR - (room - n_other < end_max ? room - n_other : end_max) + 1
		for (i = 1; i <= n_other && i <= room / 2; i++)
			print other[i]
		for (line = line < 1 ? 1 : line; line <= NR; line++)
			print all[line]
		exit
	}
	for (i = 1; i <= n_found && i <= room / (n_failures ? 2 : 1); i++)
		print found[i]
	room -= i - 1
	for (i = 1; i <= n_other && i <= room / 4; i++)
		print other[i]
	room -= i - 1
	if (n_failures) {
		most = int(room / n_failures) - 2
		if (most > traceback_max)
			most = traceback_max
		for (i = 1; i <= n_failures && most > 0; i++)
			show_failure(i, most)
		for (i = 1; i <= n_names; i++)
			print heading[i]
		if (n_names < n_failures)
			print "and " n_failures - n_names " more"
	}
}
