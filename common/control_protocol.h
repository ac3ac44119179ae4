/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a client and the collector say to each other over its Unix stream socket: the client sends
 * one line with a request, the collector answers with one JSON object and closes. An object with a
 * member "error", a text, says why there is no other answer.
 */
#ifndef COMMON_CONTROL_PROTOCOL_H
#define COMMON_CONTROL_PROTOCOL_H

#define CONTROL_SOCKET_DEFAULT "/run/trackexec/collector.sock"

/* In bytes, without the line's end. Printable ASCII. */
#define CONTROL_REQUEST_MAX 256
/* In bytes; a client reads no more. */
#define CONTROL_ANSWER_MAX (16 << 20)

/* See recorder/status.h. */
#define CONTROL_REQUEST_STATUS "status"
/*
 * Exact mode of one recorded process: "exact on NAME", "exact off NAME", "exact for 30s NAME"; NAME
 * as in the status, or a process id. The answer says only that it was asked for; what came of it is
 * in the status.
 */
#define CONTROL_REQUEST_EXACT "exact"

#endif
