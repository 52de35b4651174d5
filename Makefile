# bastiond: the whole build. HACKING.md says which file goes into which program.
#
#   make            programs and module, into build/
#   make deps       what the build and the tests need, by apt
#   make check      everything that is tested, on fresh instances; make check-asan: the same under ASan and UBSan
#   make demo       the product at work on this machine; make demo-down ends it
#   make bench      speed, side by side with OpenSSH, tlog-rec and sudo_logsrvd
#   make torture    100,000 kill -9, power cuts, failing disks: nothing acknowledged is lost
#   make install    DESTDIR= PREFIX=/usr/local

PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
CC = gcc
B := $(if $(SAN),build-asan,build)

# one name a library: pkg-config knows the rest
PKGS_bastiond = libssh sqlite3 libcrypto libevent_core libevent_openssl libssl jansson libconfuse libseccomp libcap-ng liboath libedit vterm
PKGS_bastion-collectord = libcrypto libssl libevent_core libevent_openssl libconfuse libcurl libseccomp
PKGS_bastion-replay = libcrypto jansson vterm libcurl
PKGS_bastionctl = ldap jansson libqrencode libconfuse libcrypto
LDLIBS_bastiond = -lpam -lutil

CPPFLAGS += -D_GNU_SOURCE -DSYSCONFDIR='"$(SYSCONFDIR)"' -Icommon -Irecorder -Iapprovals -Ibastiond -MMD -MP
CFLAGS ?= -O2 -g
WARN = -Wall -Wextra -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wformat=2 -Wvla -Wundef -Werror
HARDEN = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fstack-clash-protection -fcf-protection -fPIE
LDHARDEN = -pie -Wl,-z,relro,-z,now -Wl,--as-needed
ifdef SAN
HARDEN = -fPIE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
LDHARDEN = -pie -fsanitize=address,undefined
# it looks for crypt() when it starts, and PAM's modules bring that later
LDLIBS_bastiond += -Wl,--no-as-needed -lcrypt
endif
ALL_CFLAGS = -std=c11 $(WARN) $(HARDEN) $(CFLAGS)

src = $(sort $(wildcard $(1)))
without = $(filter-out $(foreach p,$(2),$(wildcard $(p))),$(call src,$(1)))
# objects lie in a folder of their own: the program bastiond has its folder's name
obj = $(patsubst %.c,$(B)/obj/%.o,$(1))

LIB_common    := $(call obj,$(call src,common/*.c))
LIB_record    := $(call obj,$(call without,recorder/*.c,recorder/collector_*.c recorder/replay_*.c recorder/role_*.c))
LIB_approvals := $(call obj,$(call without,approvals/*.c,approvals/ctl_*.c))
LIBS = $(B)/libapprovals.a $(B)/librecord.a $(B)/libcommon.a
# everything of the daemon, of the player and of the collector, but main(): the unit tests link it too
LIB_bastiond  := $(call obj,$(call without,bastiond/*.c,bastiond/main.c) $(call src,recorder/role_*.c))
# what a fuzzer can reach: no role, and not what is theirs
LIB_fuzzed    := $(call obj,$(call without,bastiond/*.c,$(addprefix bastiond/,main.c role_*.c parent_*.c policy_*.c session_*.c worker_*.c)))
LIB_replay    := $(call obj,$(call without,recorder/replay_*.c,recorder/replay_main.c))
LIB_collector := $(call obj,$(call without,recorder/collector_*.c,recorder/collector_main.c))

OBJ_bastiond            := $(call obj,$(call src,bastiond/main.c)) $(B)/libbastiond.a
OBJ_bastion-collectord  := $(call obj,recorder/collector_main.c) $(LIB_collector)
OBJ_bastion-replay      := $(call obj,recorder/replay_main.c) $(B)/libreplay.a
OBJ_bastionctl          := $(call obj,$(call src,approvals/ctl_*.c))
OBJ_pam                 := $(patsubst %.c,$(B)/pic/%.o,$(call src,pam/*.c) $(call without,common/*.c,common/crypto*.c common/confine.c))

PROGS := $(foreach p,bastiond bastion-collectord bastion-replay bastionctl,$(if $(OBJ_$(p)),$(B)/$(p)))
MODULE := $(if $(wildcard pam/*.c),$(B)/pam_bastion.so)
UNITS := $(patsubst tests/unit/%.c,$(B)/unit/%,$(call src,tests/unit/test_*.c))

all: $(PROGS) $(MODULE)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) -c -o $@ $<
$(B)/pic/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(filter-out -fPIE,$(ALL_CFLAGS)) -fPIC -fvisibility=hidden -c -o $@ $<

# what is compiled with a path of the installation is compiled anew once that is another one
$(B)/sysconfdir: FORCE
	@mkdir -p $(@D)
	@echo '$(SYSCONFDIR)' | cmp -s - $@ || echo '$(SYSCONFDIR)' >$@
$(B)/obj/common/release.o $(B)/pic/common/release.o: $(B)/sysconfdir

# a page of a recording has these in it
$(B)/obj/recorder/replay_html_assets.o: $(wildcard recorder/web/*.js recorder/web/*.css)

$(B)/libcommon.a: $(LIB_common)
$(B)/librecord.a: $(LIB_record)
$(B)/libapprovals.a: $(LIB_approvals)
$(B)/libbastiond.a: $(LIB_bastiond)
$(B)/libfuzzed.a: $(LIB_fuzzed)
$(B)/libreplay.a: $(LIB_replay)
$(B)/libcollector.a: $(LIB_collector)
$(LIBS) $(B)/libbastiond.a $(B)/libfuzzed.a $(B)/libreplay.a $(B)/libcollector.a:
	@rm -f $@
	ar rcs $@ $^

define program
$(B)/$(1): $$(OBJ_$(1)) $(LIBS)
	$$(CC) $$(ALL_CFLAGS) $$(LDHARDEN) -o $$@ $$(OBJ_$(1)) $(LIBS) $$(shell pkg-config --libs $$(PKGS_$(1))) $$(LDLIBS_$(1))
endef
$(foreach p,bastiond bastion-collectord bastion-replay bastionctl,$(eval $(call program,$(p))))

$(B)/pam_bastion.so: $(OBJ_pam) pam/export.map
	$(CC) $(filter-out -fPIE,$(ALL_CFLAGS)) -shared $(filter-out -pie,$(LDHARDEN)) -Wl,--version-script=pam/export.map -o $@ $(OBJ_pam) -lpam

# half the time of a link; where there is one
GOLD := $(if $(shell command -v ld.gold),-fuse-ld=gold)

# a unit test links every library, and test_collector_* the collector's before them, which has some names of the player's; `WRAP: name …`
# in its first lines names functions that it wraps. Of its own code little is asked but to be there soon, so nothing optimizes it, and without
# that glibc fortifies nothing
UNIT_FLAGS := -O0 -U_FORTIFY_SOURCE $(if $(SAN),,$(GOLD)) $(UNIT_LDFLAGS)
UNIT_LIBS = $(shell pkg-config --libs $(PKGS_bastiond) vterm libcurl libqrencode cmocka) -lpam -lutil
$(B)/unit/%: tests/unit/%.c $(B)/libbastiond.a $(B)/libreplay.a $(B)/libcollector.a $(LIBS)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(ALL_CFLAGS) $(UNIT_FLAGS) $(LDHARDEN) -Itests/unit -o $@ $< \
	    $(foreach w,$(shell sed -n 's/^ \* WRAP: //p' $<),-Wl,--wrap=$(w)) \
	    $(if $(findstring test_collector,$@),$(B)/libcollector.a) $(B)/libbastiond.a $(B)/libreplay.a $(LIBS) $(LIBS) $(UNIT_LIBS)

units: $(UNITS)
check-unit: units
	@tests/run-units $(B)/unit

-include $(shell find $(B) -name '*.d' 2>/dev/null)

include tests/targets.mk

clean:
	rm -rf build build-asan build-corpus

.PHONY: all units check-unit clean FORCE
.DELETE_ON_ERROR:
