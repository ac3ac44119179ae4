/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers for tests of who starts them (recorder/worker_process.h runs the test's own program).
 * What one does is in the name that it is started with: its last part up to a dash, such as
 * "good-1" or "261122-181900/dies".
 *
 *	real      the real one
 *	good      attaches, says 3.11.2 and some totals, ends when it is told to; writes what it is
 *	          told, a line each, to FAKE_HEARD in its folder
 *	dies      at once
 *	garbage   says what is no message, and stays
 *	babbles   says what is no message, and ends
 *	mute      says nothing, and ends when it is told to
 *	stubborn  as good, but does not end when it is told to
 *	refuses   finds no interpreter, in a sentence with an escape sequence; leaves no file
 *	full      cannot create the trace, as the disk is full, and ends
 *	asks      wants /etc/passwd as a source file, and is good after the answer
 *	hasty     wants many files at once
 *	gives     as good, with descriptors that nobody has asked for
 *	reports   says in MSG_DONE what it finds itself to be, and ends
 *
 * Whatever it does, it ends when its socket is closed.
 */
#ifndef TESTS_SUPPORT_FAKE_WORKER_H
#define TESTS_SUPPORT_FAKE_WORKER_H

#define FAKE_HEARD  "heard"
#define FAKE_PYTHON "3.11.2"

/* For the beginning of main(): the exit status of a worker, or -1 when this is none. */
int fake_worker_main(int argc, char **argv);

#endif
