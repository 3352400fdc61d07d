# Holdfast.  `make demo` shows it, `make test` proves it, `make` builds it.
#
# Folders below app/ are layers; each becomes an archive, so that a unit test
# links the folder it tests and what lies below, and nothing above.

CC ?= cc
CSTD = -std=c11 -D_GNU_SOURCE
WARN = -Wall -Wextra -Wpedantic -Werror -Wshadow -Wconversion -Wformat=2 -Wvla \
	-Wstrict-prototypes -Wmissing-prototypes -Wwrite-strings -Wundef \
	-Wpointer-arith -Wcast-qual -Wnull-dereference -Wimplicit-fallthrough
# tests/lint/hardened.sh looks whether the program has all of this.
HARDEN = -fPIE -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 \
	-fcf-protection
OPT = -O2 -g
LINK = -pie -Wl,-z,relro,-z,now,-z,noexecstack
LIBS = -lfcgi -lsqlite3 -lcurl -lssl -lcrypto -lyajl -lexpat -llz4 -lseccomp -lpthread -lm

ASAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

LAYERS = proc http sync db store ltx state base

# One short line per step; V=1 shows the commands.
Q = $(if $(V),,@)
say = $(if $(V),,@printf '  %-4s %s\n' $(1) $(2))

# Everything a build flavour makes lies in its own folder:
#	build/		what is deployed
#	build/asan/	under the address and undefined-behaviour sanitizers
#	build/tsan/	under the thread sanitizer
#	build/fuzz/	under the former, for fuzzers; clang only
#	build/faults/	with points at which it can be told to die, see base/fault.h
B ?= build
ifeq ($(B),build/asan)
HARDEN = -fPIE
OPT = -O1 -g
CSTD += $(ASAN) -DSANITIZED
LINK = -pie $(ASAN)
endif
ifeq ($(B),build/tsan)
HARDEN = -fPIE
OPT = -O1 -g
CSTD += -fsanitize=thread -fno-omit-frame-pointer -DSANITIZED
LINK = -pie -fsanitize=thread
endif
ifeq ($(B),build/fuzz)
HARDEN =
OPT = -O1 -g
CSTD += $(ASAN) -fsanitize=fuzzer-no-link
LINK = $(ASAN)
endif
ifeq ($(B),build/faults)
CSTD += -DFAULTS
endif

CFLAGS_ALL = $(CSTD) $(WARN) $(HARDEN) $(OPT) -Iapp -MMD -MP $(CFLAGS)

src_of = $(wildcard app/$(1)/*.c)
obj_of = $(patsubst app/%.c,$(B)/obj/%.o,$(call src_of,$(1)))
MAIN_OBJ = $(patsubst app/%.c,$(B)/obj/%.o,$(wildcard app/*.c))

.PHONY: all objects clean
all: $(B)/holdfast

$(B)/holdfast: $(MAIN_OBJ) $(LAYERS:%=$(B)/lib/%.a)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS)

# Compiled and no more: for what warns.
objects: $(patsubst app/%.c,$(B)/obj/%.o,$(wildcard app/*.c app/*/*.c))

# What /metrics says of the program.
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
$(B)/obj/http/api_metrics.o: CSTD += -DHOLDFAST_VERSION='"$(VERSION)"'
$(B)/obj/http/api_metrics.o: $(B)/version
.PHONY: always
$(B)/version: always
	@mkdir -p $(@D)
	@echo '$(VERSION)' | cmp -s - $@ || echo '$(VERSION)' >$@

$(B)/obj/%.o: app/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -c -o $@ $<

.SECONDEXPANSION:
$(LAYERS:%=$(B)/lib/%.a): $(B)/lib/%.a: $$(call obj_of,$$*)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,AR,$@)
	$(Q)ar rcs $@ $^

# Unit tests: tests/unit/<layer>/<module>.c, linked with that layer and below.
below_base =
below_state = state base
below_ltx = ltx base
below_store = store base
below_db = db base
below_sync = sync db store ltx state base
below_http = http sync db store ltx state base
below_proc = proc http sync db store ltx state base
below_base = base
# Above the layers: what of it is tested stands beside.
below_app = $(LAYERS)
beside_app = $(B)/obj/config.o $(B)/obj/variable.o

UNIT_SRC = $(wildcard tests/unit/*/*.c)
UNIT = $(patsubst tests/unit/%.c,$(B)/unit/%,$(UNIT_SRC))
layer_of = $(firstword $(subst /, ,$(1)))

$(UNIT): $(B)/unit/%: $(B)/obj/unit/%.o $$(beside_$$(call layer_of,$$*)) \
		$$(foreach l,$$(below_$$(call layer_of,$$*)),$(B)/lib/$$(l).a)
	@mkdir -p $(@D)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LINK) $(LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

$(B)/obj/unit/%.o: tests/unit/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -Itests/unit -c -o $@ $<

.PHONY: units
units: $(UNIT)
	@for t in $^; do $$t || exit 1; done

# SQLite without Holdfast, for the clients' tests.
$(B)/plain_sqlite: tests/clients/plain_sqlite.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) $(LINK) $(LDFLAGS) -o $@ $< -lsqlite3

# A fuzzer per parser: tests/fuzz/<layer>_<name>.c, linked with that layer and below.
#
#	make fuzz FUZZ_S=60			each for that long, two at a time
#	make fuzz FUZZ="http_jwt ltx_decode"	only these
#
# A target that includes a .c file to reach what is static in it has that instead of
# the archive's.  The layers are compiled once, in a folder of their own.
FUZZ_S ?= 60
FUZZ = $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/*.c))
FUZZER = $(FUZZ:%=build/fuzz/%)
fuzzed_layer = $(firstword $(subst _, ,$(1)))

ifeq ($(B),build/fuzz)
$(FUZZER): $(B)/%: $(B)/obj/fuzz/%.o \
		$$(foreach l,$$(below_$$(call fuzzed_layer,$$*)),$(B)/lib/$$(l).a)
	$(call say,LINK,$@)
	$(Q)$(CC) $(LINK) -fsanitize=fuzzer $(LDFLAGS) -o $@ $^ $(LIBS)

$(B)/obj/fuzz/%.o: tests/fuzz/%.c
	@mkdir -p $(@D)
	$(call say,CC,$<)
	$(Q)$(CC) $(CFLAGS_ALL) -Wno-missing-prototypes -c -o $@ $<
endif

.PHONY: fuzz fuzzers
fuzzers:
	@$(MAKE) --no-print-directory B=build/fuzz CC=clang $(FUZZER)

fuzz: fuzzers
	@printf '%s\n' $(FUZZ) | xargs -P 2 -n 1 tests/fuzz/run.sh $(FUZZ_S)

clean:
	rm -rf build

-include $(shell find $(B) -name '*.d' 2>/dev/null)

# What people call.
.PHONY: deps demo test crash soak format lint layers unit-programs
deps:
	deploy/install-deps.sh test
	tests/tools/setup.sh

demo:
	@deploy/demo.sh

test:
	@deploy/install-deps.sh test
	@tests/run.sh

# ROUNDS of deaths, the first with SEED, each with a seed of its own that repeats it.
ROUNDS ?= 20
SEED ?= $(shell date +%s)
crash:
	@deploy/install-deps.sh test
	@tests/tools/setup.sh
	@$(MAKE) -s B=build/faults
	@HOLDFAST=build/faults/holdfast tests/crash/crash.sh $(ROUNDS) $(SEED)

# What is too large for every day: scenarios at their full size, some minutes, and random
# traffic, good and bad, under the sanitizers for SOAK_S seconds.
SOAK_S ?= 1800
soak: all
	@deploy/install-deps.sh test
	@tests/tools/setup.sh
	@$(MAKE) -s B=build/asan
	LARGE_MB=200 bash tests/integration/63-*.sh
	LARGE_MB=500 bash tests/integration/108-*.sh
	HOLDFAST=build/asan/holdfast tests/soak/soak.sh $(SOAK_S) $(SEED)

format:
	tests/tools/clang-format.sh -i $$(find app tests -name node_modules -prune -o -name '*.[ch]' -print)

lint:
	@tests/run.sh format layers shell cppcheck clang-tidy

layers:
	@tests/lint/layers.sh

unit-programs: $(UNIT)
