/* SPDX-License-Identifier: BSD-3-Clause */
/* Commands that people copy from what we print. */
#ifndef READER_SHELL_WORD_H
#define READER_SHELL_WORD_H

/*
 * Any path as one word of a shell's command line: as it is where that is safe, else quoted; with
 * control characters and bytes that are not ASCII as bash and zsh read them, $'\x1b'. One that
 * would look like an option gets ./ before it. The caller frees.
 */
char *shell_path(const char *path);

#endif
