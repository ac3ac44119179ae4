# SPDX-License-Identifier: BSD-3-Clause
# trackexec: build, check, demo, bench, lint, fuzz, install. Everything goes to $(BUILD).
#
#   make            the programs              make check        all tests
#   make demo       record a small daemon     make bench        measure, with references
#   make lint       format, warnings, checks  make fuzz         the fuzz targets, a minute each
#   make deps       the Debian packages       make check-asan   tests with address and undefined
#                   that are missing                            behaviour sanitizers
#   make format     format the sources        make check-tsan   tests with the thread sanitizer
#   make install, make uninstall              PREFIX= DESTDIR=
#
# check, demo, bench, lint and fuzz install what is missing first, so each works on a fresh clone.

CC         ?= cc
CLANG      ?= clang
PYTHON     ?= python3
BUILD      ?= build
PREFIX     ?= /usr/local
DESTDIR    ?=
PKG_CONFIG ?= pkg-config
CFLAGS     ?= -O2 -g
# make SANITIZE=address,undefined BUILD=build/asan …
SANITIZE   ?=
# Of each fuzz target.
FUZZ_SECONDS ?= 60

VERSION := 0.1.0
LIBS    := sqlite3 libzstd libelf inih libevent_core libseccomp libsystemd json-c \
           libunwind-generic libunwind liblzma ncursesw zlib nettle

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
            -Wformat=2 -Wdouble-promotion
HARDEN   := -fstack-protector-strong -fPIE
ifneq ($(SANITIZE),)
SAN      := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
else
HARDEN   += -D_FORTIFY_SOURCE=2
endif

# pkg-config runs when something is compiled, after `make deps` had its turn; each of these once.
once = $(eval $1 := $2)$($1)
PKG_CFLAGS = $(call once,PKG_CFLAGS,$(shell $(PKG_CONFIG) --cflags $(LIBS)))
PKG_LIBS   = $(call once,PKG_LIBS,$(shell $(PKG_CONFIG) --libs $(LIBS)) -lm)
CHECK_CFLAGS = $(call once,CHECK_CFLAGS,$(shell $(PKG_CONFIG) --cflags check))
CHECK_LIBS   = $(call once,CHECK_LIBS,$(shell $(PKG_CONFIG) --libs check))

ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DTRACKEXEC_VERSION='"$(VERSION)"' -I. $(CFLAGS) \
             $(WARNINGS) $(HARDEN) $(SAN) -pthread $(PKG_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) $(SAN) -pie -pthread -Wl,-z,relro,-z,now

LIB_SRC   := $(sort $(wildcard common/*.c recorder/*.c recorder/*/*.c reader/*.c) cli/command.c)
CLI_SRC   := cli/main.c
DAEMON_SRC := cli/collector_main.c
TEST_SRC  := $(sort $(wildcard tests/test_*.c))
TOOL_SRC  := $(sort $(wildcard tests/support/*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))
FUZZ_SRC  := $(sort $(wildcard tests/fuzz/fuzz_*.c))

# What no fuzz target reaches is not built for them; one that needs it does not link.
NOT_FUZZED := reader/analyse% reader/html_% reader/replay_screen% reader/stall% reader/diff_% \
              $(filter-out reader/cmd_export.c,$(wildcard reader/cmd_*.c)) recorder/cmd_% \
              recorder/collector.c recorder/attach%
LIB_USED := $(if $(FUZZING),$(filter-out $(NOT_FUZZED),$(LIB_SRC)),$(LIB_SRC))

LIB_OBJ  := $(LIB_USED:%.c=$(BUILD)/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(BUILD)/%.o)
DAEMON_OBJ := $(DAEMON_SRC:%.c=$(BUILD)/%.o)
TOOL_OBJ := $(TOOL_SRC:%.c=$(BUILD)/%.o)
TESTS    := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
BENCHES  := $(BENCH_SRC:tests/bench/%.c=$(BUILD)/bench/%)
FUZZERS  := $(FUZZ_SRC:tests/fuzz/%.c=$(BUILD)/fuzzers/%)

# The extension for SQLite, and what of the reader it needs, which is compiled once more for it.
EXT_SRC  := $(sort $(wildcard sqlext/*.c))
EXT_LIB_SRC := $(sort $(wildcard common/*.c) $(filter-out reader/cmd_% reader/replay%,$(wildcard reader/*.c)))
EXT_OBJ  := $(EXT_SRC:%.c=$(BUILD)/pic/%.o)
EXT_LIB_OBJ := $(EXT_LIB_SRC:%.c=$(BUILD)/pic/%.o)

all: $(BUILD)/trackexec $(BUILD)/trackexec-collector $(BUILD)/trackexec.so

tests: $(TESTS)
benches: $(BENCHES)
fuzzers: $(FUZZERS)

$(BUILD)/trackexec: $(CLI_OBJ) $(BUILD)/libtrackexec.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/trackexec-collector: $(DAEMON_OBJ) $(BUILD)/libtrackexec.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/libtrackexec.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# Calls of SQLite go to the one that loads it (sqlext/host_sqlite.h), so it needs no library of that.
$(BUILD)/trackexec.so: $(EXT_OBJ) $(BUILD)/libtrackexec-pic.a sqlext/exports.map
	$(CC) $(LDFLAGS) $(SAN) -shared -pthread -Wl,-z,relro,-z,now -Wl,--as-needed \
		-Wl,--version-script=sqlext/exports.map $(if $(SAN),,-Wl,--no-undefined) -o $@ \
		$(EXT_OBJ) $(BUILD)/libtrackexec-pic.a $(filter-out -lsqlite3,$(PKG_LIBS)) -lm

$(BUILD)/libtrackexec-pic.a: $(EXT_LIB_OBJ)
	@rm -f $@
	$(AR) rcs $@ $^

# What the compiler says of a file stays beside the object, for lint-gcc.
KEEP_WARNINGS = 2>$(@:.o=.warnings); status=$$?; cat $(@:.o=.warnings) >&2; exit $$status

$(BUILD)/pic/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden \
		-include sqlext/host_sqlite.h -MMD -MP -c -o $@ $< $(KEEP_WARNINGS)

$(BUILD)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $< $(KEEP_WARNINGS)

# It has these in it.
$(BUILD)/reader/html_files.o: $(wildcard reader/html/*)

$(BUILD)/tests/%.o: tests/%.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CHECK_CFLAGS) -MMD -MP -c -o $@ $< $(KEEP_WARNINGS)

# A unit test is one file linked with the library and tests/support.
$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(TOOL_OBJ) $(BUILD)/libtrackexec.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(PKG_LIBS)

# It loads what it tests.
$(BUILD)/tests/test_sql_extension: | $(BUILD)/trackexec.so

$(BENCHES): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(TOOL_OBJ) $(BUILD)/libtrackexec.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lm

$(FUZZERS): $(BUILD)/fuzzers/%: $(BUILD)/tests/fuzz/%.o $(TOOL_OBJ) $(BUILD)/libtrackexec.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(PKG_LIBS)

# Changes when the compiler or its flags do: then all is compiled anew.
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(CC) $(ALL_CFLAGS))' | cmp -s - $@ || \
		echo '$(subst ','\'',$(CC) $(ALL_CFLAGS))' >$@

# --- tests ---

# The sub-makes run one after the other, whatever -j says: tests want the machine for themselves.
SUBMAKE := $(MAKE) --no-print-directory
# Which of tests/e2e.
E2E ?= test_*.py

check: deps-check
	+@$(SUBMAKE) all tests
	@$(PYTHON) tests/pythons.py fetch
	+@status=0; $(SUBMAKE) run-unit || status=1; $(SUBMAKE) run-e2e || status=1; exit $$status

# Those of modules that watch no process, only read traces and write them: two at a time.
BESIDE_SRC := $(wildcard $(patsubst %,tests/test_%,$(notdir $(wildcard reader/*.c common/*.c)))) \
              $(wildcard tests/test_trace_*.c tests/test_block_*.c tests/test_config*.c)
BESIDE = $(filter $(BESIDE_SRC:%.c=$(BUILD)/%),$(TESTS))

run-unit:
	@status=0; \
	JOBS=2 tests/run_unit.sh $(BESIDE) || status=1; \
	tests/run_unit.sh $(filter-out $(BESIDE),$(TESTS)) || status=1; \
	exit $$status

run-e2e:
	@TRACKEXEC=$(abspath $(BUILD))/trackexec $(PYTHON) tests/run_e2e.py '$(E2E)'

# Reports name functions and lines; for more, SAN_CFLAGS='-O1 -g'.
SAN_CFLAGS ?= -O1 -g1

# With sanitizers: all unit tests, and of the recordings those that differ in code, not in data.
SAN_ENV := CK_TIMEOUT_MULTIPLIER=10 TRACKEXEC_SECONDS=0.2 \
           TRACKEXEC_PYTHON=$$(/usr/bin/python3 -c \
		'import platform; print(platform.python_version())')

# Those that record, and the debugger; what else reads a trace has its code in unit tests.
ASAN_E2E := 'test_rec*.py' 'test_repl*.py' 'test_stacks.py'

# The leak detector does not look into the worker, which can't be inspected and leaves by _exit().
check-asan: deps-check
	+@$(SUBMAKE) BUILD=$(BUILD)/asan SANITIZE=address,undefined CFLAGS='$(SAN_CFLAGS)' all tests
	+@status=0; \
	$(SAN_ENV) JOBS=2 $(SUBMAKE) BUILD=$(BUILD)/asan run-unit || status=1; \
	for e2e in $(ASAN_E2E); do \
		$(SAN_ENV) $(SUBMAKE) BUILD=$(BUILD)/asan E2E="$$e2e" run-e2e || status=1; \
	done; \
	exit $$status

# Those that run threads of ours.
THREADED := wait_queue attach cpu_placement discover handover line_endings line_events line_handover look \
            ring sampler sandbox_recording
TSAN_TESTS := $(THREADED:%=$(BUILD)/tsan/tests/test_%)

# GCC's thread sanitizer needs addresses that are not randomised much.
check-tsan: deps-check
	+@$(SUBMAKE) BUILD=$(BUILD)/tsan SANITIZE=thread CFLAGS='$(SAN_CFLAGS)' \
		$(BUILD)/tsan/trackexec $(TSAN_TESTS)
	+@status=0; \
	$(SAN_ENV) setarch -R \
		$(SUBMAKE) BUILD=$(BUILD)/tsan TESTS='$(TSAN_TESTS)' run-unit || status=1; \
	$(SAN_ENV) setarch -R \
		$(SUBMAKE) BUILD=$(BUILD)/tsan E2E='test_record*.py' run-e2e || status=1; \
	exit $$status

# --- programs that show something ---

demo: deps-build
	+@$(SUBMAKE) all
	@TRACKEXEC=$(abspath $(BUILD))/trackexec $(PYTHON) tests/demo.py

# BENCH_OPTIONS=--quick, or what `tests/bench/bench.py --help` tells.
bench: deps-bench
	+@$(SUBMAKE) all benches
	@$(PYTHON) tests/pythons.py fetch
	@TRACKEXEC=$(abspath $(BUILD))/trackexec $(PYTHON) tests/bench/bench.py $(BENCH_OPTIONS)

# What was found stays in $(BUILD)/fuzz/NAME: the corpus, and inputs that crashed.
FUZZ_NAMES := $(FUZZ_SRC:tests/fuzz/%.c=%)
FUZZ_FLAGS := -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=1024 -print_final_stats=1
# Files to begin with, where guessing would never get past the first bytes.
SEEDS_fuzz_elf_image := /bin/true
SEEDS_fuzz_config := tests/data/collector.conf
SEEDS_fuzz_usdt_notes := tests/data/usdt_args.txt

fuzz: deps-fuzz
	+@$(SUBMAKE) CC=$(CLANG) BUILD=$(BUILD)/fuzz-build CFLAGS='$(SAN_CFLAGS)' \
		SANITIZE=fuzzer-no-link,address,undefined FUZZING=1 fuzzers
	+@$(SUBMAKE) -k $(FUZZ_NAMES:%=run-%)

$(FUZZ_NAMES:%=run-%): run-%:
	@mkdir -p $(BUILD)/fuzz/$*/corpus
	@$(if $(SEEDS_$*),cp -u $(SEEDS_$*) $(BUILD)/fuzz/$*/corpus)
	@$(BUILD)/fuzz-build/fuzzers/$* $(FUZZ_FLAGS) -artifact_prefix=$(BUILD)/fuzz/$*/ \
		$(BUILD)/fuzz/$*/corpus >$(BUILD)/fuzz/$*/log 2>&1 || \
		{ cat $(BUILD)/fuzz/$*/log; exit 1; }
	@echo "$*: $$(grep -a '^Done ' $(BUILD)/fuzz/$*/log)"

# --- checks that read the sources ---

# Tables keep their columns, generated or set by hand.
TABLES  := $(wildcard recorder/python/*_table.c recorder/oncpu/*_table.c)
ALL_C   := $(LIB_SRC) $(EXT_SRC) $(CLI_SRC) $(DAEMON_SRC) $(TEST_SRC) $(TOOL_SRC) $(BENCH_SRC) $(FUZZ_SRC)
ALL_H   := $(wildcard cli/*.h common/*.h reader/*.h recorder/*.h recorder/*/*.h sqlext/*.h tests/*/*.h)
ALL_PY  := recorder/shim/trackexec.py $(wildcard tests/*.py tests/*/*.py tests/*/*/*.py tools/*.py)
ALL_SH  := $(wildcard tools/*.sh tests/*.sh) .ci/run
FORMATTED := $(sort $(filter-out $(TABLES),$(ALL_C) $(ALL_H)))
# The code that must not depend on the machine; the rest needs libraries of the other one.
PORTABLE := recorder/target/memory.c $(wildcard recorder/python/*.c) \
            $(wildcard recorder/oncpu/*_table.c recorder/oncpu/wait_*.c recorder/oncpu/fd_*.c)

LINTS := lint-format lint-gcc lint-aarch64 lint-cppcheck lint-tidy lint-shell lint-python

lint: deps-lint
	+@$(SUBMAKE) -k $(LINTS) && echo "lint: nothing found"

lint-format:
	clang-format --dry-run -Werror $(FORMATTED)

# Some warnings need code to be made: so of the build itself, where that is GCC's.
GCC_BUILD = $(if $(shell $(CC) -v 2>&1 | grep '^gcc version'),,CC=gcc BUILD=$(BUILD)/lint-gcc)
WARNINGS_SAID = $(patsubst %.o,%.warnings,$(LIB_OBJ) $(CLI_OBJ) $(DAEMON_OBJ) $(EXT_OBJ) \
                $(EXT_LIB_OBJ) $(TOOL_OBJ) $(TEST_SRC:%.c=$(BUILD)/%.o) $(BENCH_SRC:%.c=$(BUILD)/%.o))

lint-gcc:
	+@$(SUBMAKE) $(GCC_BUILD) all tests benches
	+@$(SUBMAKE) $(GCC_BUILD) no-warnings

no-warnings:
	@cat $(WARNINGS_SAID) >$(BUILD)/warnings
	@! grep . $(BUILD)/warnings

lint-aarch64 aarch64:
	$(CLANG) --target=aarch64-linux-gnu -fsyntax-only -nostdlibinc \
		-isystem /usr/aarch64-linux-gnu/include -std=gnu11 -D_GNU_SOURCE -I. \
		$(WARNINGS) -Werror $(PORTABLE)

lint-cppcheck:
	@mkdir -p $(BUILD)/cppcheck
	cppcheck --quiet --std=c11 --enable=warning,performance,portability --inline-suppr \
		--error-exitcode=1 --cppcheck-build-dir=$(BUILD)/cppcheck -D_GNU_SOURCE -I. $(ALL_C)

# With clang's warnings. What else it checks, and what not and why, is in .clang-tidy.
CLANG_WARNINGS := -Wreserved-identifier -Wreserved-macro-identifier

lint-tidy: $(ALL_C:%=lint-tidy-%)

$(ALL_C:%=lint-tidy-%): lint-tidy-%:
	@echo clang-tidy $*; found=$$(clang-tidy --quiet --warnings-as-errors='*' $* -- \
		$(ALL_CFLAGS) $(CLANG_WARNINGS) $(CHECK_CFLAGS) 2>&1) || { echo "$$found"; exit 1; }

lint-shell:
	shellcheck $(ALL_SH)

lint-python:
	PYTHONPYCACHEPREFIX=$(abspath $(BUILD))/pycache $(PYTHON) -m py_compile $(ALL_PY)

format:
	clang-format -i $(FORMATTED)

# --- install ---

DOCDIR := $(DESTDIR)$(PREFIX)/share/doc/trackexec
MANDIR := $(DESTDIR)$(PREFIX)/share/man
# Where the collector looks, wherever it is installed itself.
CONFIG := $(DESTDIR)/etc/trackexec/collector.conf
MAN_PAGES := $(wildcard man/*.[1-8])
# Of trackexec, as cli/main.c knows them.
PROGRAM_NAMES := walt-server-trackexec-replay walt-server-trackexec-analyse
UNITDIR := $(DESTDIR)$(PREFIX)/lib/systemd/system
SYSUSERSDIR := $(DESTDIR)$(PREFIX)/lib/sysusers.d
SOCKETS := trackexec-collector-events.socket trackexec-collector-sockets.socket
UNITS := trackexec-collector.service $(SOCKETS)
EXTDIR := $(DESTDIR)$(PREFIX)/lib/trackexec
SHIMDIR := $(DESTDIR)$(PREFIX)/share/trackexec

# Each time: PREFIX may be another one.
$(BUILD)/%.service: systemd/%.service.in FORCE
	@mkdir -p $(@D)
	sed 's|@PREFIX@|$(PREFIX)|g' $< >$@

install: all $(BUILD)/trackexec-collector.service
	install -D -m 755 $(BUILD)/trackexec $(DESTDIR)$(PREFIX)/bin/trackexec
	for name in $(PROGRAM_NAMES); do \
		ln -sf trackexec $(DESTDIR)$(PREFIX)/bin/$$name || exit 1; \
	done
	install -D -m 755 $(BUILD)/trackexec-collector $(DESTDIR)$(PREFIX)/sbin/trackexec-collector
	install -D -m 644 $(BUILD)/trackexec.so $(EXTDIR)/trackexec.so
	install -D -m 644 recorder/shim/trackexec.py $(SHIMDIR)/trackexec.py
	install -d $(DOCDIR)/docs
	install -m 644 README.md CHANGELOG.md LICENSE $(DOCDIR)
	install -m 644 $(wildcard docs/*.md) $(DOCDIR)/docs
	for page in $(MAN_PAGES); do \
		install -D -m 644 $$page $(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; \
	done
	install -D -m 644 -t $(UNITDIR) $(BUILD)/trackexec-collector.service \
		$(SOCKETS:%=systemd/%)
	install -D -m 644 systemd/trackexec.sysusers $(SYSUSERSDIR)/trackexec.conf
	[ -e $(CONFIG) ] || install -D -m 644 config/collector.conf $(CONFIG)

# The configuration stays: it may be someone's work.
uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/trackexec $(DESTDIR)$(PREFIX)/sbin/trackexec-collector
	rm -f $(PROGRAM_NAMES:%=$(DESTDIR)$(PREFIX)/bin/%)
	for page in $(MAN_PAGES); do \
		rm -f $(MANDIR)/man$${page##*.}/$${page##*/} || exit 1; \
	done
	rm -f $(UNITS:%=$(UNITDIR)/%) $(SYSUSERSDIR)/trackexec.conf
	rm -rf $(DOCDIR) $(EXTDIR) $(SHIMDIR)

clean:
	rm -rf $(BUILD)

deps:
	@tools/deps.sh

# Only what this step needs.
deps-%: FORCE
	@tools/deps.sh $*

FORCE:

.PHONY: all tests benches fuzzers check run-unit run-e2e check-asan check-tsan demo bench fuzz \
        $(FUZZ_NAMES:%=run-%) lint $(LINTS) no-warnings $(ALL_C:%=lint-tidy-%) \
        aarch64 format install uninstall clean deps FORCE
.SECONDARY:

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
