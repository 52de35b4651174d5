# The targets around the programs: tests, lint, demo, install. Included by the Makefile.

WORKERS = 4
PYTEST = /usr/bin/python3 -m pytest -p no:cacheprovider
C_FILES = $(wildcard common/*.c recorder/*.c approvals/*.c bastiond/*.c pam/*.c)
H_FILES = $(wildcard common/*.h recorder/*.h approvals/*.h bastiond/*.h pam/*.h)
SCRIPTS = tests/model/coverage tests/deps tests/run-units tests/check tests/layers tests/fuzz/run .ci/run recorder/web/fetch etc/hooks/ticket_check etc/target/bastion-account $(wildcard etc/hooks/notify-*) $(wildcard etc/*.sh)

deps:
	@tests/deps build lab unit test

# what compiles on a machine that may have no compiler yet: first the packages, then the rest
MAKED = $(MAKE) --no-print-directory -j2 -s
TESTED = tests/deps build lab unit test && $(MAKED)

# every stage runs even if one before it failed; the last line counts them all
check:
	@B=$(B) MAKE='$(MAKE)' tests/check deps lint $(if $(wildcard tests/fuzz/fuzz_*.c),corpus) build coverage patient units system calm alone
check-asan: # slower by a factor of two to five
	@UNIT_TIMEOUT=1500 B=build-asan MAKE='$(MAKE) SAN=1' tests/check deps build patient units system calm alone

# T: which tests, as pytest's -k takes them: make check-system T='sftp or scp'. Those that measure time run by themselves, the
# others side by side: most of them wait, for a code, a deadline, a client. Of these a neighbour may starve one: it is tried once more,
# and the list of results says so. What measures time has one try, and so has what attacks a promise by chance (flaky(reruns=0)).
# ALONE: those that measure time. PATIENT: those of them that sleep for seconds and have seconds to spare, beside each other. CALM: those of them
# that hardly compute, three at a time; the largest file comes first, so that no processor waits for it at the end.
CHECK_TOOLS = $(B)/bench/brec_make $(B)/crash/model $(B)/crash/archive $(B)/crash/kill $(B)/crash/typing $(B)/crash/grants $(B)/model/decide
check-tools: $(CHECK_TOOLS)
# files that have such a mark: the others need not be read. conftest.py sees to it that all of them are found so
marked = $(shell grep -l 'mark\.$(1)' tests/system/test_*.py)
check-system: all $(CHECK_TOOLS)
	@LAB_BIN=$(abspath $(B)) $(PYTEST) -q $(if $(T),tests/system -k '$(T)',$(if $(ALONE),$(call marked,alone) -m 'alone and not patient and not calm' --durations=25,$(if $(CALM),$(shell ls -S $(call marked,calm)) -m 'calm and not patient' -n $(if $(SAN),1,3) --dist loadfile --durations=15,$(if $(PATIENT),$(call marked,patient) -m patient -n $(WORKERS) --dist loadfile,tests/system -m 'not alone' -n $(WORKERS) --dist loadfile --reruns 1 --durations=40 --durations-min=2)))) $(PYTEST_ARGS)

LINTS = lint-cppcheck lint-man lint-shell layers headers budgets lint-web
lint: $(LINTS)
lint-cppcheck:
	@mkdir -p $(B)/cppcheck
	@cppcheck --quiet -j2 --cppcheck-build-dir=$(B)/cppcheck --std=c11 --error-exitcode=1 --inline-suppr --enable=warning,performance,portability \
	    --suppress=missingIncludeSystem --suppress=normalCheckLevelMaxBranches \
	    -D_GNU_SOURCE -D__linux__ -DSYSCONFDIR='"/etc"' -Icommon -Irecorder -Iapprovals -Ibastiond $(C_FILES)
lint-man:
	@# cross-references are looked up among the installed pages, where ours are not
	@! for f in $(wildcard man/*.[1-8]); do mandoc -Tlint -W style $$f 2>&1; done | \
	    grep -v 'referenced manual not found\|outdated mandoc.db'
lint-shell:
	@shellcheck -x $(wildcard $(SCRIPTS))
layers:
	@tests/layers
# A header says by itself all that it needs. Of one that is the first thing in the file of its name the build has shown it, with more warnings.
headers:
	@first=" $$(awk 'FNR == 1 { seen = 0 } !seen && /^[ \t]*#/ { seen = 1; h = FILENAME; sub(/c$$/, "h", h); n = h; sub(".*/", "", n); if ($$0 == "#include \"" n "\"") print h }' \
	    $(C_FILES) | tr '\n' ' ')"; \
	for h in $(H_FILES); do case $$first in *" $$h "*) continue ;; esac; $(CC) -fsyntax-only -x c $(filter-out -MMD -MP,$(CPPFLAGS)) -std=c11 -Wall -Wextra -Werror $$h || bad=1; done; [ -z "$$bad" ]
# the player that is built in is the one that was released; recorder/web/fetch gets another
lint-web:
	@recorder/web/fetch --check
budgets:
	@tests/budgets
clang-tidy:
	@clang-tidy --quiet --warnings-as-errors='*' \
	    --checks='-*,bugprone-*,clang-analyzer-*,-bugprone-easily-swappable-parameters,-bugprone-reserved-identifier,-bugprone-narrowing-conversions,-clang-analyzer-security.insecureAPI.*' \
	    $(or $(F),$(C_FILES)) -- -std=c11 $(filter-out -MMD -MP,$(CPPFLAGS)) $(shell pkg-config --cflags libssh sqlite3 jansson libevent_core)

demo:
	@tests/deps build lab
	@$(MAKED) all
	@LAB_BIN=$(abspath $(B)) tests/demo
demo-down:
	@tests/demo down

ifneq ($(wildcard tests/bench/run),)
bench:
	@tests/deps build lab bench
	@$(MAKED) all benches
	@LAB_BIN=$(abspath $(B)) tests/bench/run
endif

# tests/fuzz/fuzz_X.c has LLVMFuzzerTestOneInput, tests/fuzz/corpus/X/ its inputs. `corpus` replays all of them under ASan and
# UBSan; `fuzz` looks for new ones with libFuzzer: make fuzz FUZZ_SECONDS=600 T=screen
FUZZERS = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_MAIN = $(if $(LIBFUZZER),-fsanitize=fuzzer,$(if $(SAN),-fsanitize=address$(comma)undefined) $(B)/obj/tests/fuzz/main_replay.o)
comma := ,
# one source a program, so that it gets one list of the headers that it is made from
$(B)/fuzz/fuzz_%: tests/fuzz/fuzz_%.c $(if $(LIBFUZZER),,$(B)/obj/tests/fuzz/main_replay.o) $(B)/libfuzzed.a $(B)/libreplay.a $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDHARDEN) $(if $(LIBFUZZER),,$(GOLD)) -o $@ $< $(FUZZ_MAIN) $(B)/libfuzzed.a $(B)/libreplay.a $(LIBS) $(LIBS) \
	    $(shell pkg-config --libs $(PKGS_bastiond) vterm libcurl libqrencode) -lpam -lutil -ltinfo
CORPUS = $(if $(SAN),$(B),build-corpus)
fuzzers: $(FUZZERS)
# In a folder of its own: what is run once is there soonest without optimizing, and nothing is optimized away before it is looked at.
# Warnings are for the build that is used: without the optimizer gcc has false ones.
corpus:
	@$(MAKE) --no-print-directory -s -j2 $(if $(SAN),,SAN=1 CFLAGS='-O0 -g1 -w' B=$(CORPUS)) fuzzers
	@tests/fuzz/run corpus $(CORPUS)/fuzz
fuzz:
	@tests/deps build fuzz
	@$(MAKE) --no-print-directory -s SAN=1 LIBFUZZER=1 B=build-fuzz CC=clang CFLAGS='-O1 -g -fsanitize=fuzzer-no-link -Wno-unused-command-line-argument -Wno-missing-field-initializers' fuzzers
	@tests/fuzz/run fuzz build-fuzz/fuzz

# The full count: over 100,000 kill -9 and 20,000 power cuts and failing disks; some six hours on two idle cores. Each part has a target of its
# own, where N says how many; `make check` runs some seconds of kills, archive, model and grants. Figures are kept in doc/BENCH.md.
torture:
	@tests/deps build lab unit test
	@$(MAKE) --no-print-directory torture-kills N=60000 S=10000
	@$(MAKE) --no-print-directory torture-archive N=30000
	@$(MAKE) --no-print-directory torture-model N=5000 P=10000 C=1000
	@$(MAKE) --no-print-directory torture-ship N=400
	@$(MAKE) --no-print-directory torture-stack N=1000
	@$(MAKE) --no-print-directory torture-grants N=100000
	@$(MAKE) --no-print-directory torture-ends N=1000 S=500

# kill -9 of every role in turn while ssh types: what the target got must be a prefix of the recording
torture-stack:
	@$(TESTED) all
	@LAB_BIN=$(abspath $(B)) tests/crash/run $(or $(N),100)

# programs that make load or measure: tests/bench/X.c
BENCHES = $(patsubst tests/bench/%.c,$(B)/bench/%,$(wildcard tests/bench/*.c))
$(B)/bench/%: tests/bench/%.c $(B)/libbastiond.a $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $< $(B)/libbastiond.a $(LIBS) $(LIBS) \
	    $(shell pkg-config --libs $(PKGS_bastiond) libcurl) -lpam -lutil
# preloaded into others, so that they sync what they write
$(B)/bench/durable.so: tests/bench/preload/durable.c
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -std=c11 $(WARN) -O2 -fPIC -shared -o $@ $<
benches: $(BENCHES) $(B)/bench/durable.so

# the access decision against a model of its own, and the branches of its files that the tests take: doc/ACCESS-TESTS.md
$(B)/model/decide: tests/model/decide.c $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $< $(LIBS) $(LIBS) -ljansson $(shell pkg-config --libs sqlite3 libcrypto liboath)
model:
	@tests/deps build lab && $(MAKED) $(B)/model/decide
	@tests/model/model.py $(B)/model/decide $(or $(N),1000000) $(or $(STRIDE),1)
coverage-access: # make expands a whole recipe before it runs the first line, and pkg-config may only come then
	@$(TESTED) covered-access
covered-access: $(B)/libbastiond.a $(LIBS)
	@CC='$(CC)' CPPFLAGS='$(filter-out -MMD -MP,$(CPPFLAGS))' LIBS='$(GOLD) $(B)/libbastiond.a $(LIBS) $(LIBS) $(shell pkg-config --libs $(PKGS_bastiond) vterm libcurl libqrencode cmocka) -lpam -lutil' \
	    tests/model/coverage $(B)/coverage $(B)

# the collector's store under kills, power cuts and failing disks at every call: tests/crash/model.c
MODEL_WRAPS = pwrite write fdatasync fsync syncfs openat mkdirat renameat unlinkat
MODEL_STORE = $(filter-out %/collector_main.o,$(OBJ_bastion-collectord))
$(B)/crash/model: $(wildcard tests/crash/model*.c) tests/crash/model.h $(H_FILES) $(MODEL_STORE) $(B)/librecord.a $(B)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $(filter %.c %.o,$^) $(foreach w,$(MODEL_WRAPS),-Wl,--wrap=$(w)) \
	    $(B)/librecord.a $(B)/libcommon.a $(shell pkg-config --libs $(PKGS_bastion-collectord))
torture-model:
	@$(TESTED) $(B)/crash/model
	@$(B)/crash/model -k $(or $(N),1000) -x $(or $(P),1000) -p $(or $(C),1000) -f $(or $(P),1000) -e 1

# approve, deny, revoke and login on the same requests, by many processes at once: tests/crash/grants.c
$(B)/crash/grants: tests/crash/grants.c $(B)/libapprovals.a $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $< $(LIBS) $(LIBS) $(shell pkg-config --libs $(PKGS_bastiond))
torture-grants:
	@$(TESTED) $(B)/crash/grants
	@d=$$(mktemp -d $(or $(wildcard /dev/shm),/tmp)/grants.XXXXXX) && $(B)/crash/grants -n $(or $(N),100000) -p 8 $$d; r=$$?; rm -rf $$d; exit $$r

# how fast access ends, beside 500 sessions of others: tests/crash/ends
torture-ends:
	@$(TESTED) all
	@LAB_BIN=$(abspath $(B)) tests/crash/ends $(or $(N),1000) --sessions $(or $(S),500)

# the archiver, killed at every call, against an object store in memory: tests/crash/archive.c
ARCHIVE_WRAPS = openat pwrite write ftruncate fstatvfs fdatasync fsync renameat clock_mono_ms s3_create s3_destroy s3_start s3_running s3_turn coll_sandbox_enter log_error
$(B)/crash/archive: $(wildcard tests/crash/archive*.c) tests/crash/archive.h $(H_FILES) $(MODEL_STORE) $(B)/librecord.a $(B)/libcommon.a
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $(filter %.c %.o,$^) $(foreach w,$(ARCHIVE_WRAPS),-Wl,--wrap=$(w)) \
	    $(B)/librecord.a $(B)/libcommon.a $(shell pkg-config --libs $(PKGS_bastion-collectord))
torture-archive:
	@$(TESTED) $(B)/crash/archive
	@$(B)/crash/archive -e -f 1 -k $(or $(N),100000) -d $(or $(wildcard /dev/shm),/tmp)

# the real collector and recorder, killed at every system call: tests/crash/kill.c
$(B)/crash/kill: $(wildcard tests/crash/kill*.c) tests/crash/kill.h $(H_FILES) $(OBJ_bastion-collectord) $(B)/libbastiond.a $(LIBS)
	@mkdir -p $(@D)
	objcopy --redefine-sym main=collector_main $(B)/obj/recorder/collector_main.o $(B)/crash/collector_main.o
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $(filter %.c,$^) $(B)/crash/collector_main.o $(MODEL_STORE) \
	    $(B)/libbastiond.a $(LIBS) $(LIBS) $(shell pkg-config --libs $(PKGS_bastiond) $(PKGS_bastion-collectord)) -lpam -lutil

# a real bastion's sessions, killed likewise while someone types: tests/crash/typing.c
$(B)/crash/typing: $(wildcard tests/crash/typing*.c) tests/crash/typing.h tests/crash/kill_doom.c tests/crash/kill.h $(H_FILES) $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) $(ALL_CFLAGS) $(LDHARDEN) -o $@ $(filter %.c,$^) $(LIBS) \
	    $(shell pkg-config --libs libssh libseccomp libcrypto)

torture-kills:
	@$(TESTED) all $(B)/crash/kill $(B)/crash/typing
	@LAB_BIN=$(abspath $(B)) tests/crash/kills $(or $(N),1000)
	@LAB_BIN=$(abspath $(B)) tests/crash/sessions $(or $(S),100)

# /dev/urandom on a terminal for an hour: memory, disk, and the echo of another session
torture-urandom:
	@$(TESTED) all
	@LAB_BIN=$(abspath $(B)) tests/crash/urandom $(or $(MINUTES),60)

# kill -9, power cut and full disk between recorder and collector
torture-ship:
	@$(TESTED) all benches
	@LAB_BIN=$(abspath $(B)) tests/crash/ship $(or $(N),100)

# PAM looks for modules in one folder only; elsewhere the PAM file must name the path
PAMDIR ?= /lib/$(shell $(CC) -print-multiarch)/security
UNITDIR ?= $(PREFIX)/lib/systemd/system
MANDIR ?= $(PREFIX)/share/man
# where zsh looks: on Debian below /usr/local as everywhere, below /usr in folders of their own
ZSHDIR ?= $(PREFIX)/share/zsh/$(if $(filter /usr,$(PREFIX)),vendor-completions,site-functions)
# whatever mask the caller has: it makes folders 0755, and files of the mode that is said
INSTALL = install -D
D = $(DESTDIR)

install: all
	$(INSTALL) -m 755 -t $(D)$(PREFIX)/sbin $(B)/bastiond $(B)/bastion-collectord
	$(INSTALL) -m 755 -t $(D)$(PREFIX)/bin $(B)/bastionctl $(B)/bastion-replay
	$(INSTALL) -m 644 -t $(D)$(PAMDIR) $(B)/pam_bastion.so
	@# a file that the administrator may have changed stays
	@for f in bastiond.conf:$(SYSCONFDIR)/bastiond/bastiond.conf collectord.conf:$(SYSCONFDIR)/bastiond/collectord.conf \
	    pam.d/bastiond:$(SYSCONFDIR)/pam.d/bastiond hooks/hook.conf:$(PREFIX)/share/bastiond/hooks/hook.conf; do \
	    to=$(D)$${f#*:}; [ -e $$to ] || $(INSTALL) -m 644 etc/$${f%%:*} $$to || exit 1; done
	$(INSTALL) -m 755 -t $(D)$(PREFIX)/share/bastiond/hooks etc/hooks/ticket_check $(wildcard etc/hooks/notify-*)
	$(INSTALL) -m 755 -t $(D)$(PREFIX)/share/bastiond/log etc/log/ask-witness
	@for u in $(notdir $(wildcard etc/systemd/*.service etc/systemd/*.timer)); do \
	    sed 's,@PREFIX@,$(PREFIX),g; s,@SYSCONFDIR@,$(SYSCONFDIR),g' etc/systemd/$$u | $(INSTALL) -m 644 /dev/stdin $(D)$(UNITDIR)/$$u || exit 1; done
	@for s in 1 5 8; do for m in man/*.$$s; do [ ! -e $$m ] || $(INSTALL) -m 644 -t $(D)$(MANDIR)/man$$s $$m || exit 1; done; done
	$(INSTALL) -m 644 -t $(D)$(PREFIX)/share/bastiond/monitoring $(wildcard etc/monitoring/*)
	$(INSTALL) -m 755 -t $(D)$(PREFIX)/share/bastiond/target etc/target/bastion-account
	$(INSTALL) -m 644 -t $(D)$(PREFIX)/share/bash-completion/completions etc/completion/bastionctl
	$(INSTALL) -m 644 -t $(D)$(ZSHDIR) etc/completion/_bastionctl

# on a host that the bastion makes accounts at: bastion-account(8)
install-target:
	$(INSTALL) -m 755 -t $(D)$(PREFIX)/sbin etc/target/bastion-account
	$(INSTALL) -m 644 -t $(D)$(MANDIR)/man8 man/bastion-account.8
	@for f in service timer cron; do to=$(D)$(UNITDIR); [ $$f != cron ] || to=$(D)$(PREFIX)/share/bastiond; \
	    sed 's,@PREFIX@,$(PREFIX),g' etc/target/bastion-account.$$f | $(INSTALL) -m 644 /dev/stdin $$to/bastion-account.$$f || exit 1; done

.PHONY: deps check check-asan check-tools check-system lint $(LINTS) clang-tidy demo demo-down bench fuzzers corpus fuzz benches torture torture-stack torture-ship torture-model torture-archive torture-kills torture-urandom torture-grants torture-ends model coverage-access covered-access install install-target
