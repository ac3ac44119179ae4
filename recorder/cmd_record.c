/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * `trackexec record`: gets everything ready (the target held fast, the folder, the worker without
 * privileges, the command waiting at its start), then lets the attacher run.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/xalloc.h"
#include "recorder/attach.h"
#include "recorder/denial.h"
#include "recorder/launch.h"
#include "recorder/output_folder.h"
#include "recorder/record_options.h"
#include "recorder/worker.h"

/* As shells do. */
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND	    127

struct recording {
	const struct record_options *options;
	sigset_t signals;  /* those that end a recording */
	sigset_t old_mask; /* what the command gets */
	struct identity target;
	struct launched command;
	char name[TRACE_NAME_MAX + 1];
	char *folder;
	bool folder_created;
	int sock, signal_fd;
	pid_t worker;
};

/* From here on these arrive through a descriptor; the worker inherits them blocked. */
static void block_signals(struct recording *r)
{
	struct sigaction hangup;
	sigset_t blocked;

	sigemptyset(&r->signals);
	sigaddset(&r->signals, SIGINT);
	sigaddset(&r->signals, SIGTERM);
	sigaction(SIGHUP, NULL, &hangup);
	/* nohup ignores it on purpose. */
	if (hangup.sa_handler != SIG_IGN)
		sigaddset(&r->signals, SIGHUP);
	blocked = r->signals;
	/* A command that dies before it is let go, or a closed terminal, is an error, not the end.
	 */
	sigaddset(&blocked, SIGPIPE);
	sigprocmask(SIG_BLOCK, &blocked, &r->old_mask);
}

static int report_no_target(pid_t pid, int error)
{
	struct denial denial;
	char why[512];

	if (error == -EACCES) {
		denial_collect(pid, NULL, &denial);
		denial_explain(&denial, why, sizeof(why));
		log_error("%s", why);
		return EXIT_NOT_ALLOWED;
	}
	if (error == -ESRCH)
		log_error("there is no process %d: look it up with `pgrep -a python`", (int)pid);
	else if (error == -ENOSYS)
		log_error("this kernel has no pidfd_open: Linux 5.6 or later is needed");
	else
		log_error("cannot look at process %d: %s", (int)pid, strerror(-error));
	return EXIT_FAILED;
}

/* What can be told of a process before its memory is asked for. */
static int check_kind(const struct identity *id)
{
	struct process_stat stat;

	if (identity_read_stat(id, &stat) < 0)
		return report_no_target(id->pid, -ESRCH);
	if (process_is_kernel_thread(&stat)) {
		log_error("process %d (%s) is a kernel thread: it runs no Python", (int)id->pid,
			  stat.comm);
		return EXIT_NO_PYTHON;
	}
	if (process_is_exiting(&stat)) {
		log_error("process %d (%s) has ended already and waits for its parent to notice: "
			  "nothing is left to record",
			  (int)id->pid, stat.comm);
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

static int hold_process(struct recording *r)
{
	int error;

	error = identity_open(r->options->pid, &r->target);
	if (error < 0)
		return report_no_target(r->options->pid, error);
	return check_kind(&r->target);
}

/* The command is forked now and waits, so that its process id can be part of the folder's name. */
static int prepare_command(struct recording *r)
{
	int error;

	error = launch_prepare(r->options->command, &r->old_mask, &r->command);
	if (error == 0)
		error = identity_open(r->command.pid, &r->target);
	if (error == 0)
		return EXIT_OK;
	log_error("cannot start a process: %s", strerror(-error));
	return EXIT_FAILED;
}

static void choose_names(struct recording *r)
{
	char command[1024] = "";

	if (r->options->name)
		snprintf(r->name, sizeof(r->name), "%s", r->options->name);
	else if (r->options->command)
		identity_base_name(r->options->command[0], r->name, sizeof(r->name));
	else {
		identity_read_command(&r->target, command, sizeof(command));
		identity_base_name(command, r->name, sizeof(r->name));
	}
	if (r->options->output)
		r->folder = xstrdup(r->options->output);
	else
		r->folder = xasprintf("./trackexec-%s-%d", r->name, (int)r->target.pid);
}

static int prepare_folder(struct recording *r)
{
	char why[1024];
	int error;

	error = output_folder_prepare(r->folder, &r->folder_created, why, sizeof(why));
	if (error == 0)
		return EXIT_OK;
	log_error("%s", why);
	return error == -EACCES || error == -EPERM || error == -EROFS ? EXIT_NOT_ALLOWED
								      : EXIT_FAILED;
}

static void __attribute__((noreturn)) run_worker(struct recording *r, int sock)
{
	struct worker_config config = {
	    .name = r->name,
	    .folder = r->folder,
	    .pid = r->target.pid,
	    .start_ticks = r->target.start_ticks,
	    .rate_hz = r->options->rate_hz,
	    .min_wait_ns = r->options->min_wait_ns,
	    .follow = r->options->follow,
	    .packages = (const char *const *)r->options->packages,
	    .packages_text = r->options->packages_text,
	    .needs_lines = r->options->is_exact,
	};

	/* Nothing but the socket: not the target's folder, nor the pipe that lets the command go.
	 */
	if (dup2(sock, STDERR_FILENO + 1) < 0)
		_exit(1);
	close_range(STDERR_FILENO + 2, ~0u, 0);
	_exit(worker_run(STDERR_FILENO + 1, &config));
}

/* Forked before anything is attached, so it never has what it is not handed. */
static int start_worker(struct recording *r)
{
	auto_close int worker_end = -1;
	int pair[2];

	r->signal_fd = signalfd(-1, &r->signals, SFD_CLOEXEC);
	if (r->signal_fd < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
		log_error("cannot set up the recording: %s", strerror(errno));
		return EXIT_FAILED;
	}
	r->sock = pair[0];
	worker_end = pair[1];
	r->worker = fork();
	if (r->worker == 0)
		run_worker(r, worker_end);
	if (r->worker > 0)
		return EXIT_OK;
	log_error("cannot start a process: %s", strerror(errno));
	return EXIT_FAILED;
}

static int let_command_go(struct recording *r)
{
	int error;

	error = launch_go(&r->command);
	if (error == 0)
		return EXIT_OK;
	log_error("cannot run %s: %s", r->options->command[0], strerror(-error));
	return error == -ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

static int prepare(struct recording *r)
{
	int status;

	block_signals(r);
	status = r->options->command ? prepare_command(r) : hold_process(r);
	if (status != EXIT_OK)
		return status;
	choose_names(r);
	status = prepare_folder(r);
	if (status != EXIT_OK)
		return status;
	status = start_worker(r);
	if (status == EXIT_OK && r->options->command)
		status = let_command_go(r);
	if (status != EXIT_OK)
		output_folder_discard(r->folder, r->folder_created);
	return status;
}

/*
 * A worker whose socket closes ends by itself. Signals stay blocked: one that came a moment too
 * late must not turn success into a death.
 */
static void done(struct recording *r, bool was_run)
{
	if (!was_run && r->sock >= 0)
		close(r->sock);
	if (!was_run && r->worker > 0)
		waitpid(r->worker, NULL, 0);
	if (!was_run && r->command.pid > 0)
		launch_cancel(&r->command);
	if (r->signal_fd >= 0)
		close(r->signal_fd);
	identity_close(&r->target);
	free(r->folder);
}

static int record(const struct record_options *options)
{
	struct recording r = {
	    .options = options,
	    .target = IDENTITY_NONE,
	    .command = {.go_fd = -1, .error_fd = -1},
	    .sock = -1,
	    .signal_fd = -1,
	};
	struct attach_result result;
	int status;

	status = prepare(&r);
	if (status != EXIT_OK) {
		done(&r, false);
		return status;
	}
	attach_run(
	    &(struct attach_config){
		.target = &r.target,
		.is_command = options->command,
		.duration_ns = options->duration_ns,
		.quiet = options->quiet,
		.edges = options->edges,
		.is_exact = options->is_exact,
		.folder = r.folder,
		.sock = r.sock,
		.worker = r.worker,
		.signal_fd = r.signal_fd,
	    },
	    &result);
	if (!result.has_trace)
		output_folder_discard(r.folder, r.folder_created);
	done(&r, true);
	return result.exit_status;
}

static int run(int argc, char **argv)
{
	struct record_options options;
	int status;

	if (record_options_parse(argc, argv, &options) < 0)
		return command_usage_error(&cmd_record);
	if (options.help) {
		fputs(cmd_record.help, stdout);
		record_options_done(&options);
		return EXIT_OK;
	}
	log_set_verbosity(options.quiet ? -1 : options.verbose ? 1 : 0);
	status = record(&options);
	record_options_done(&options);
	return status;
}

const struct command cmd_record = {
    .name = "record",
    .summary = "record which lines a Python process runs",
    .help = "usage: trackexec record [options] --pid PID\n"
	    "       trackexec record [options] -- COMMAND ARGS...\n"
	    "\n"
	    "Record which lines the threads of a CPython process (3.8 to 3.15) run, into a\n"
	    "trace. The process is read from outside and not paused.\n"
	    "\n"
	    "What to record:\n"
	    "  -p, --pid PID         a process that runs already\n"
	    "  -- COMMAND ARGS...    a command, from its start; its status is passed on\n"
	    "      --packages LIST   follow the code of these packages only (a,b,c)\n"
	    "      --all             follow all code, also the standard library and\n"
	    "                        installed packages (default: neither)\n"
	    "\n"
	    "How:\n"
	    "  -r, --rate HZ         snapshots per second: 5000 (default), 1k, 10khz, max\n"
	    "  -d, --duration TIME   stop after that long: 10 (seconds), 500ms, 5min;\n"
	    "                        default: when the process ends, or on Ctrl-C\n"
	    "      --mode MODE       sample (default): look from outside, at no cost for the\n"
	    "                        process; exact: each line that it runs, told by the\n"
	    "                        interpreter's own probes, at some 2 us a line (as root;\n"
	    "                        CPython 3.8 to 3.11 that have them, as Debian's)\n"
	    "      --edges HOW       how to tell when threads wait: exact (the kernel's\n"
	    "                        context switches), coarse (the scheduler's figures, to\n"
	    "                        some 20 ms), none; default auto: the best that is\n"
	    "                        permitted (-v says why it is not exact)\n"
	    "      --min-wait TIME   list waits that last so long, with their reason:\n"
	    "                        1ms (default), 100us, 2s; shorter ones count for their\n"
	    "                        line\n"
	    "\n"
	    "Where to:\n"
	    "  -o, --output DIR      folder for the trace, new or empty\n"
	    "                        (default: ./trackexec-NAME-PID)\n"
	    "      --name NAME       name of the trace (default: that of the program)\n"
	    "\n"
	    "  -q, --quiet           print errors only\n"
	    "  -v, --verbose         print more\n"
	    "  -h, --help            print this\n"
	    "\n"
	    "Exit status: 0; that of COMMAND when it fails (128+N when signal N killed it,\n"
	    "126 or 127 when it cannot be run); 1 error, 2 usage, 4 not permitted, 5 not a\n"
	    "Python that is known.\n"
	    "\n"
	    "Examples:\n"
	    "  trackexec record -- python3 app.py\n"
	    "  trackexec record --pid 4242 --duration 10 --output /tmp/trace\n"
	    "  trackexec record --rate max --packages walt,mylib -- ./server --debug\n",
    .run = run,
};
