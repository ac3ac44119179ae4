/* SPDX-License-Identifier: BSD-3-Clause */
/* `trackexec-collector`: the daemon, and, with an internal option, a worker of it. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/command.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "recorder/collector.h"
#include "recorder/config.h"
#include "recorder/worker.h"
#include "recorder/worker_process.h"

static const char help[] =
    "usage: trackexec-collector [options]\n"
    "\n"
    "Record every sub-process of walt-server-daemon, and what else the configuration\n"
    "says, as long as the folder for the traces exists (/var/log/walt/trackexec).\n"
    "Normally started by systemd: `systemctl enable --now trackexec-collector`.\n"
    "\n"
    "      --root DIR       the folder for the traces, whatever the configuration says\n"
    "      --config DIR     read collector.conf and collector.conf.d/*.conf there\n"
    "                       (default: /etc/trackexec, /run/trackexec and\n"
    "                       /usr/lib/trackexec)\n"
    "      --user NAME      run the workers as this user (User=)\n"
    "      --socket PATH    where `trackexec status` asks (Socket=)\n"
    "      --check-config   say whether the configuration is right, and exit\n"
    "      --print-config   print the configuration in effect, and exit\n"
    "  -q, --quiet          print errors only\n"
    "  -v, --verbose        print more\n"
    "  -h, --help           print this\n"
    "  -V, --version        print the version\n"
    "\n"
    "SIGTERM and SIGINT end it and all traces, SIGHUP reloads the configuration.\n"
    "\n"
    "Examples:\n"
    "  mkdir /var/log/walt/trackexec    record from now on\n"
    "  trackexec status                 what is being recorded\n"
    "  trackexec-collector --check-config\n";

enum { OPTION_ROOT = 256, OPTION_CONFIG, OPTION_USER, OPTION_SOCKET, OPTION_CHECK, OPTION_PRINT };

enum job { JOB_RUN, JOB_CHECK, JOB_PRINT, JOB_HELP, JOB_VERSION, JOB_WRONG };

struct request {
	struct collector_options options;
	const char *folders[2];
	enum job job;
};

/* What cannot be looked at is left to the one who reads it, who says why. */
static bool is_folder(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return errno != ENOENT && errno != ENOTDIR;
	return S_ISDIR(st.st_mode);
}

static void parse(int argc, char **argv, struct request *ret)
{
	static const struct option options[] = {
	    {"root", required_argument, NULL, OPTION_ROOT},
	    {"config", required_argument, NULL, OPTION_CONFIG},
	    {"user", required_argument, NULL, OPTION_USER},
	    {"socket", required_argument, NULL, OPTION_SOCKET},
	    {"check-config", no_argument, NULL, OPTION_CHECK},
	    {"print-config", no_argument, NULL, OPTION_PRINT},
	    {"quiet", no_argument, NULL, 'q'},
	    {"verbose", no_argument, NULL, 'v'},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {NULL, 0, NULL, 0},
	};
	int option;

	*ret = (struct request){.options = {.config_folders = config_default_folders}};
	while ((option = getopt_long(argc, argv, "qvhV", options, NULL)) != -1) {
		switch (option) {
		case OPTION_ROOT:
			ret->options.root = optarg;
			break;
		case OPTION_CONFIG:
			ret->folders[0] = optarg;
			ret->options.config_folders = ret->folders;
			break;
		case OPTION_USER:
			ret->options.user = optarg;
			break;
		case OPTION_SOCKET:
			ret->options.socket = optarg;
			break;
		case OPTION_CHECK:
			ret->job = JOB_CHECK;
			break;
		case OPTION_PRINT:
			ret->job = JOB_PRINT;
			break;
		case 'q':
			log_set_verbosity(-1);
			break;
		case 'v':
			log_set_verbosity(1);
			break;
		case 'h':
			ret->job = JOB_HELP;
			return;
		case 'V':
			ret->job = JOB_VERSION;
			return;
		default:
			ret->job = JOB_WRONG;
			return;
		}
	}
	if (optind < argc) {
		log_error("there is nothing to give but options: '%s'", argv[optind]);
		ret->job = JOB_WRONG;
	}
	if (ret->folders[0] && !is_folder(ret->folders[0])) {
		log_error("--config %s: give the folder that has collector.conf in it",
			  ret->folders[0]);
		ret->job = JOB_WRONG;
	}
	if (ret->options.root && ret->options.root[0] != '/') {
		log_error("--root %s: give the whole path, from / on", ret->options.root);
		ret->job = JOB_WRONG;
	}
}

static int show_config(const struct request *request)
{
	auto_config_errors struct config_errors errors = {0};
	auto_collector_config struct collector_config *config = NULL;
	auto_free char *text = NULL;

	if (collector_config_load(request->options.config_folders, &config, &errors) < 0) {
		for (size_t i = 0; i < errors.n; i++)
			log_error("%s", errors.lines[i]);
		if (errors.n_more)
			log_error("and %zu more", errors.n_more);
		return EXIT_USAGE;
	}
	if (request->job == JOB_CHECK)
		return EXIT_OK;
	text = collector_config_format(config);
	fputs(text, stdout);
	return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct request request;

	log_set_program("trackexec-collector");
	if (argc > 1 && strcmp(argv[1], WORKER_OPTION) == 0)
		return worker_serve(WORKER_SOCKET);
	parse(argc, argv, &request);
	switch (request.job) {
	case JOB_RUN:
		log_use_journal();
		return collector_run(&request.options);
	case JOB_CHECK:
	case JOB_PRINT:
		return show_config(&request);
	case JOB_HELP:
		fputs(help, stdout);
		return EXIT_OK;
	case JOB_VERSION:
		puts("trackexec-collector " TRACKEXEC_VERSION);
		return EXIT_OK;
	case JOB_WRONG:
		break;
	}
	fputs("Try `trackexec-collector --help`.\n", stderr);
	return EXIT_USAGE;
}
