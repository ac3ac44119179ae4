/* SPDX-License-Identifier: BSD-3-Clause */
/* The threads of all interpreters of a process, and who holds a GIL. */
#ifndef RECORDER_PYTHON_PY_THREADS_H
#define RECORDER_PYTHON_PY_THREADS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "recorder/python/py_layout.h"
#include "recorder/target/memory.h"

#define PY_MAX_INTERPRETERS 256
#define PY_MAX_THREADS	    16384

struct py_thread {
	remote_addr tstate;
	remote_addr gil;      /* of the struct of the GIL that it takes */
	uint64_t python_id;   /* threading.get_ident(): pthread_self() */
	uint64_t native_id;   /* kernel thread id; 0 before 3.11, which do not keep it */
	uint64_t interpreter; /* its id: 0 is the main one */
};

/*
 * List all threads, into a growing array.
 * Returns their number; -EAGAIN when the lists changed under our eyes, -EFAULT, -ESRCH.
 */
int py_threads_list(struct memory *mem, const struct py_layout *l, remote_addr runtime,
		    struct py_thread **threads, size_t *cap);

struct py_gil {
	remote_addr last_holder; /* thread state; keeps the last one while nobody holds it */
	uint64_t switches;	 /* counts each time that another thread takes it */
	bool locked;
};

int py_gil_read(struct memory *mem, const struct py_layout *l, remote_addr gil, struct py_gil *ret);

#endif
