/* SPDX-License-Identifier: BSD-3-Clause */
/* Which code is followed, judged by its file name as the code object has it. */
#ifndef RECORDER_FOLLOW_H
#define RECORDER_FOLLOW_H

#include <stdbool.h>

#include "recorder/sampler.h"

/*
 * @packages  for FOLLOW_PACKAGES, NULL-terminated; a name may be dotted ("walt.server")
 * A file belongs to a package when it lies below a directory of that name and what follows can
 * be imported: identifiers only; or when it is the module of that name itself. The shim
 * (…/walt/server/trackexec.py) is never followed.
 */
bool follow_file(enum follow_mode mode, const char *const *packages, const char *file,
		 const char *function);

#endif
