# SPDX-License-Identifier: BSD-3-Clause
# trackexec: build, check, demo, bench, lint, fuzz, install. Everything goes to $(BUILD).
#
#   make            the programs              make check      all tests
#   make demo       record a small daemon     make bench      measure, with references
#   make lint       format, warnings, checks  make fuzz       the fuzz targets, a minute each
#   make deps       the Debian packages that are missing      make install PREFIX= DESTDIR=

CC         ?= cc
BUILD      ?= build
PREFIX     ?= /usr/local
DESTDIR    ?=
PKG_CONFIG ?= pkg-config
CFLAGS     ?= -O2 -g
# make SANITIZE=address,undefined BUILD=build/asan …
SANITIZE   ?=

VERSION := 0.1.0
LIBS    := sqlite3 libzstd libelf

WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes \
            -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wwrite-strings -Wundef -Wvla \
            -Wformat=2 -Wdouble-promotion
HARDEN   := -fstack-protector-strong -fPIE
ifneq ($(SANITIZE),)
SAN      := -fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all
else
HARDEN   += -D_FORTIFY_SOURCE=2
endif

# Recursive on purpose: pkg-config runs when something is compiled, after `make deps` had its turn.
PKG_CFLAGS = $(shell $(PKG_CONFIG) --cflags $(LIBS))
PKG_LIBS   = $(shell $(PKG_CONFIG) --libs $(LIBS))
CHECK_CFLAGS = $(shell $(PKG_CONFIG) --cflags check)
CHECK_LIBS   = $(shell $(PKG_CONFIG) --libs check)

ALL_CFLAGS = -std=gnu11 -D_GNU_SOURCE -DTRACKEXEC_VERSION='"$(VERSION)"' -I. $(CFLAGS) \
             $(WARNINGS) $(HARDEN) $(SAN) -pthread $(PKG_CFLAGS)
ALL_LDFLAGS = $(LDFLAGS) $(SAN) -pie -pthread -Wl,-z,relro,-z,now

LIB_SRC   := $(sort $(wildcard common/*.c recorder/*.c recorder/*/*.c reader/*.c) cli/command.c)
CLI_SRC   := cli/main.c
TEST_SRC  := $(sort $(wildcard tests/test_*.c))
TOOL_SRC  := $(sort $(wildcard tests/support/*.c))
BENCH_SRC := $(sort $(wildcard tests/bench/*.c))

LIB_OBJ  := $(LIB_SRC:%.c=$(BUILD)/%.o)
CLI_OBJ  := $(CLI_SRC:%.c=$(BUILD)/%.o)
TOOL_OBJ := $(TOOL_SRC:%.c=$(BUILD)/%.o)
TESTS    := $(TEST_SRC:tests/%.c=$(BUILD)/tests/%)
BENCHES  := $(BENCH_SRC:tests/bench/%.c=$(BUILD)/bench/%)

all: $(BUILD)/trackexec

$(BUILD)/trackexec: $(CLI_OBJ) $(BUILD)/libtrackexec.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(BUILD)/libtrackexec.a: $(LIB_OBJ)
	rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tests/%.o: tests/%.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(CHECK_CFLAGS) -MMD -MP -c -o $@ $<

# A unit test is one file linked with the library and tests/support.
$(TESTS): $(BUILD)/tests/%: $(BUILD)/tests/%.o $(TOOL_OBJ) $(BUILD)/libtrackexec.a
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(CHECK_LIBS) $(PKG_LIBS)

$(BENCHES): $(BUILD)/bench/%: $(BUILD)/tests/bench/%.o $(TOOL_OBJ) $(BUILD)/libtrackexec.a
	@mkdir -p $(@D)
	$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lm

clean:
	rm -rf $(BUILD)

deps:
	@tools/deps.sh

.PHONY: all clean deps
.SECONDARY:

-include $(wildcard $(BUILD)/*/*.d $(BUILD)/*/*/*.d)
