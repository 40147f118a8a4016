# libcounter
#
#   make                 library, command and portal program, in build/
#   make test            all tests, or those whose path holds T:  make test T=test_sketch
#   make demo            a small portal with its counter, in the browser
#   make install         PREFIX=/usr/local DESTDIR= LIBDIR=$PREFIX/lib;  make uninstall takes it all away again
#   make bench fuzz lint check-format clean
#
#   V=1                  shows every command
#   CC=clang CFLAGS=-O3  CFLAGS, CPPFLAGS and LDFLAGS are added behind our own
#   SANITIZE=address,undefined | thread   builds in build-asan, build-tsan
#   REDIS=no             without the Redis store, and so without hiredis
#   TLS=yes              with rediss://, and so with OpenSSL
#   INSTALL=no           test and demo install no missing package, they name it and stop

# ---- What is built --------------------------------------------------------------------------------------------------

suffix_of = $(if $(findstring fuzzer,$1),fuzz,$(if $(findstring address,$1),asan,$(if $(findstring thread,$1),tsan,ubsan)))
BUILD    ?= build$(if $(SANITIZE),-$(call suffix_of,$(SANITIZE)))

version   = $(shell awk '$$2 == "COUNTER_VERSION_$1" { print $$3 }' include/counter.h)
MAJOR    := $(call version,MAJOR)
VERSION  := $(MAJOR).$(call version,MINOR).$(call version,PATCH)

object    = $(patsubst %.c,$(BUILD)/obj/%.o,$(wildcard $1))
program   = $(patsubst %.c,$(BUILD)/%,$(wildcard $1))

REDIS    ?= yes
TLS      ?= no
export REDIS
redis     = $(filter-out lib/redis_url.c,$(wildcard lib/redis_*.c lib/remote*.c lib/store_redis.c))
LIBRARY  := $(filter-out $(if $(filter no,$(REDIS)),$(patsubst %.c,$(BUILD)/obj/%.o,$(redis))),$(call object,lib/*.c))
COMMAND  := $(call object,tools/*.c)
PORTAL   := $(call object,examples/portal/*.c)
EXAMPLES := $(call program,examples/*.c)
BENCHES  := $(filter-out $(if $(filter no,$(REDIS)),%/bench_redis),$(call program,bench/*.c))
TESTED   := $(wildcard tests/unit/test_*.c tests/integration/test_*.c)
SUPPORT  := $(wildcard tests/support/*.c)
ifeq ($(REDIS),no)
# Tests of what is left out, and what only they need.
only_redis := $(addprefix tests/support/,copies.c real_cluster.c real_sentinels.c redis_ask.c)
TESTED     := $(filter-out $(wildcard tests/integration/test_redis_*.c) tests/unit/test_redis_slot.c,$(TESTED))
SUPPORT    := $(filter-out $(only_redis),$(SUPPORT))
endif
UNIT     := $(patsubst %.c,$(BUILD)/%,$(TESTED))
FUZZ     := $(call program,tests/fuzz/fuzz_*.c)
REPLAY   := $(patsubst $(BUILD)/tests/fuzz/fuzz_%,$(BUILD)/tests/fuzz/test_%,$(FUZZ))
SCRIPTS  := $(filter-out $(if $(filter no,$(REDIS)),$(wildcard tests/integration/test_redis_*.sh)), \
                         $(wildcard tests/integration/test_*.sh))

SHARED   := $(BUILD)/libcounter.so.$(MAJOR)
STATIC   := $(BUILD)/libcounter.a
PROGRAMS := $(BUILD)/counter $(BUILD)/portal.cgi

# ---- How ------------------------------------------------------------------------------------------------------------

OBJCOPY    ?= objcopy
PKG_CONFIG ?= pkg-config
Q          := $(if $(filter 1,$(V)),,@)
export PATH := $(PATH):/usr/sbin:/sbin
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla
OPTIMISE := $(if $(SANITIZE),-O1 -fno-omit-frame-pointer,-O2) -g
CHECKS   := $(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-sanitize-recover=all)

# _FORTIFY_SOURCE asks for an optimising build, and confuses the sanitizers.
optimised := $(filter-out -O0,$(lastword $(filter -O%,$(OPTIMISE) $(CFLAGS))))
FORTIFY   := $(if $(SANITIZE)$(findstring _FORTIFY_SOURCE,$(CPPFLAGS) $(CFLAGS)),,$(if $(optimised),-U_FORTIFY_SOURCE \
             -D_FORTIFY_SOURCE=2))

# A wider -I than its layer's would let a file include what it must not know: programs see counter.h only.
INCLUDE  := -Iinclude
$(BUILD)/obj/lib/% $(BUILD)/obj/tests/% $(BUILD)/obj/bench/%: private INCLUDE := -Iinclude -Ilib

# Scans and merges are loops that gain from unrolling: the box counted afresh takes half the time.
ifeq ($(SANITIZE),)
$(BUILD)/obj/lib/recency.o $(BUILD)/obj/lib/sketch.o: private OPTIMISE := -O3 -g
endif

USES     := libsodium$(if $(filter no,$(REDIS)),, hiredis$(if $(filter yes,$(TLS)), openssl))
WITHOUT  := $(if $(filter no,$(REDIS)),-DCOUNTER_NO_REDIS)$(if $(filter yes,$(TLS)),-DCOUNTER_TLS)
# hiredis.pc names the folder inside include/, where there is a read.h; we say <hiredis/hiredis.h>.
OTHERS   := $(filter-out -I/usr/include,$(patsubst -I%/hiredis,-I%,$(shell $(PKG_CONFIG) --cflags $(USES) 2>/dev/null)))
COMPILE   = $(CC) -std=c11 -D_GNU_SOURCE $(INCLUDE) $(OTHERS) $(WITHOUT) $(OPTIMISE) -fPIC -fvisibility=hidden -pthread $(WARNINGS) \
            -fstack-protector-strong $(FORTIFY) $(CHECKS) $(CPPFLAGS) $(CFLAGS)
LINK      = $(CC) $(OPTIMISE) -pthread $(CHECKS) -Wl,-z,relro,-z,now -Wl,--as-needed $(CFLAGS) $(LDFLAGS)

# Programs carry third-party libraries inside: a CGI program is started for every page, and each shared library delays it.
LIBS        := $(shell $(PKG_CONFIG) --libs $(USES) 2>/dev/null) -lm
inside       = $(or $(wildcard $(shell $(PKG_CONFIG) --variable=libdir $1 2>/dev/null)/$1.a \
                    $(shell $(PKG_CONFIG) --variable=libdir $1 2>/dev/null)/lib$1.a),$(shell $(PKG_CONFIG) --libs $1 2>/dev/null))
LIBS_INSIDE := $(foreach library,$(filter-out openssl,$(USES)),$(call inside,$(library))) \
               $(if $(findstring openssl,$(USES)),$(shell $(PKG_CONFIG) --libs openssl)) -lm

.PHONY: all
all: $(SHARED) $(BUILD)/libcounter.so $(STATIC) $(PROGRAMS) $(BUILD)/libcounter.pc

# ---- Objects --------------------------------------------------------------------------------------------------------

# $(BUILD)/NAME.is holds what matters to its dependants besides files, and is rewritten only when that changes.
$(BUILD)/compile.is: what = $(COMPILE)
$(BUILD)/link.is:    what = $(LINK) $(LIBS_INSIDE) $(LIBRARY) $(COMMAND) $(PORTAL)
$(BUILD)/%.is: FORCE
	@mkdir -p $(@D)
	@echo '$(subst ','\'',$(what))' | cmp -s - $@ || echo '$(subst ','\'',$(what))' >$@
.PHONY: FORCE
FORCE:

# Says what is missing before a compiler stumbles over it. Building never installs anything.
$(BUILD)/needs: tests/needs.sh
	@mkdir -p $(@D)
	@INSTALL=no tests/needs.sh build && touch $@

$(BUILD)/obj/%.o: %.c $(BUILD)/compile.is | $(BUILD)/needs
	@mkdir -p $(@D)
	@echo "  CC    $<"
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<

-include $(shell find $(BUILD)/obj -name '*.d' 2>/dev/null)

# The scripts that run inside Redis are part of the library, and called by their SHA-1.
script    = $(patsubst %,lib/remote_%.lua,$1)
sha1_of   = '"$(firstword $(shell cat $(call script,$1) | sha1sum))"'
$(BUILD)/obj/lib/remote_talk.o: $(call script,state count answer keep merge)
$(BUILD)/obj/lib/remote_talk.o: private CPPFLAGS += -DSCRIPT_COUNT=$(call sha1_of,state count answer) \
                                                    -DSCRIPT_KEEP=$(call sha1_of,state keep merge)

# ---- Library and programs -------------------------------------------------------------------------------------------

# A sanitizer's symbols come from the program, so only a plain library can promise that it lacks none.
$(SHARED): $(LIBRARY) $(BUILD)/link.is
	@echo "  LINK  $@"
	$(Q)$(LINK) -shared -Wl,-soname,$(@F) $(if $(SANITIZE),,-Wl,-z,defs) -o $@ $(filter %.o,$^) $(LIBS)

$(BUILD)/libcounter.so: $(SHARED)
	$(Q)ln -sf $(<F) $@

# One object whose hidden symbols are made local: a program may have a settings_read of its own.
$(STATIC): $(LIBRARY) $(BUILD)/link.is
	@echo "  AR    $@"
	$(Q)rm -f $@
ifeq ($(SANITIZE)$(findstring -flto,$(CFLAGS)),)
	$(Q)$(CC) -r -nostdlib -o $(BUILD)/libcounter.o $(filter %.o,$^)
	$(Q)$(OBJCOPY) --localize-hidden $(BUILD)/libcounter.o
	$(Q)$(AR) rcs $@ $(BUILD)/libcounter.o
else
	$(Q)$(AR) rcs $@ $(filter %.o,$^)
endif

$(BUILD)/counter:    $(COMMAND)
$(BUILD)/portal.cgi: $(PORTAL)
$(PROGRAMS): $(LIBRARY) $(BUILD)/link.is
	@echo "  LINK  $@"
	$(Q)$(LINK) -pie -o $@ $(filter %.o,$^) $(LIBS_INSIDE)

$(EXAMPLES): $(BUILD)/%: $(BUILD)/obj/%.o $(STATIC)
	@mkdir -p $(@D)
	$(Q)$(LINK) -pie -o $@ $^ $(LIBS)

$(BUILD)/libcounter.pc: pkgconfig/libcounter.pc.in FORCE
	@mkdir -p $(@D)
	$(Q)sed -e 's|@LIBS@|$(patsubst lib%,-l%,$(patsubst openssl,-lssl -lcrypto,$(patsubst hiredis%,-lhiredis%,$(USES))))|' \
	    -e 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@INCLUDEDIR@|$(INCLUDEDIR:$(PREFIX)/%=$${prefix}/%)|' \
	    -e 's|@LIBDIR@|$(LIBDIR:$(PREFIX)/%=$${prefix}/%)|' $< >$@

# ---- Tests ----------------------------------------------------------------------------------------------------------

# Tests see the library's insides, so they link its objects, and take what they want of the programs' own.
$(BUILD)/insides.a: $(LIBRARY) $(COMMAND) $(PORTAL) $(patsubst %.c,$(BUILD)/obj/%.o,$(SUPPORT)) $(BUILD)/link.is
	@rm -f $@
	$(Q)$(AR) rcs $@ $(filter %.o,$^)

CMOCKA = $(shell $(PKG_CONFIG) --libs cmocka)
link_test = @mkdir -p $(@D); echo "  LINK  $@"; $(if $(Q),,set -x;) $(LINK) -pie -o $@ $(filter %.o %.a,$^) $(LIBS_INSIDE)

$(UNIT):    $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/insides.a;  $(link_test) $(CMOCKA)
$(BENCHES): $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/insides.a;  $(link_test)
$(REPLAY):  $(BUILD)/tests/fuzz/test_%: $(BUILD)/obj/tests/fuzz/fuzz_%.o $(BUILD)/obj/tests/fuzz/replay.o \
            $(BUILD)/insides.a;                               $(link_test)
$(FUZZ):    $(BUILD)/%: $(BUILD)/obj/%.o $(BUILD)/insides.a;  $(link_test) -fsanitize=fuzzer

chosen    = $(if $(T),$(foreach path,$1,$(if $(findstring $(T),$(path:$(BUILD)/%=%)),$(path))),$1)
with_here = TOP='$(CURDIR)' BUILD='$(abspath $(BUILD))' CC='$(CC)' SANITIZE='$(SANITIZE)'

# Needs may have to be installed before this file can be read right (libraries' flags), hence the second make.
.PHONY: test tests run-tests demo bench fuzz run-fuzz
test demo:
	@INSTALL='$(INSTALL)' tests/needs.sh $@
	@$(MAKE) --no-print-directory run-$@

tests: all $(EXAMPLES) $(call chosen,$(UNIT) $(REPLAY))
run-tests run-test: tests
	@$(with_here) RUNNER='$(RUNNER)' tests/run.sh $(call chosen,$(UNIT) $(REPLAY) $(SCRIPTS))

run-demo: all
	@$(with_here) exec examples/portal/demo.sh

bench: all $(BENCHES)
	@for bench in $(call chosen,$(BENCHES)); do $(with_here) $$bench || exit; done

# Clang's libFuzzer, for SECONDS each, from the corpus beside the target; findings stay in build-fuzz/.
SECONDS ?= 60
fuzz:
	@$(MAKE) --no-print-directory CC=clang SANITIZE=fuzzer-no-link,address,undefined run-fuzz
run-fuzz: $(FUZZ)
	@tests/fuzz/run.sh $(SECONDS) $(call chosen,$(FUZZ))

# ---- Checks of the source -------------------------------------------------------------------------------------------

SOURCES = $(wildcard lib/*.c tools/*.c examples/*.c examples/portal/*.c)
HEADERS = $(wildcard include/*.h lib/*.h tools/*.h examples/portal/*.h)

.PHONY: lint check-format format
lint:
	$(Q)printf '%s\n' $(SOURCES) | xargs -P 2 -I{} clang-tidy --quiet {} -- -std=c11 -D_GNU_SOURCE -Iinclude -Ilib \
	    -DSCRIPT_COUNT='""' -DSCRIPT_KEEP='""'
	$(Q)cppcheck --quiet --std=c11 -D_GNU_SOURCE -DSCRIPT_COUNT='""' -DSCRIPT_KEEP='""' -Iinclude -Ilib --enable=warning,performance,portability --inline-suppr \
	    --error-exitcode=1 $(SOURCES)
	$(Q)shellcheck .ci/run $(shell find tests examples bench -name '*.sh')

FORMATTED = $(SOURCES) $(wildcard bench/*.c tests/*/*.c)
check-format:
	$(Q)clang-format --dry-run -Werror $(FORMATTED)
format:
	$(Q)clang-format -i $(FORMATTED)

# ---- Install --------------------------------------------------------------------------------------------------------

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man

# mode:file:place, for install and uninstall alike; "link" makes place a link to file.
installed = 755:$(BUILD)/counter:$(PREFIX)/bin/counter \
            755:$(BUILD)/portal.cgi:$(PREFIX)/lib/cgi-bin/portal.cgi \
            644:$(SHARED):$(LIBDIR)/$(notdir $(SHARED)) \
            link:$(notdir $(SHARED)):$(LIBDIR)/libcounter.so \
            644:$(STATIC):$(LIBDIR)/libcounter.a \
            644:$(BUILD)/libcounter.pc:$(LIBDIR)/pkgconfig/libcounter.pc \
            644:include/counter.h:$(INCLUDEDIR)/counter.h \
            $(foreach page,$(wildcard man/*.[135]),644:$(page):$(MANDIR)/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))

# Folders of the system that stay even when they are empty.
standing  = /usr /usr/local $(addprefix /usr/local/,bin include lib share share/man)
# A place outside a staging folder is one that the dynamic linker must hear of.
relink    = @[ -n "$(DESTDIR)" ] || [ "$$(id -u)" != 0 ] || ldconfig

.PHONY: install uninstall clean
install: all
	@for entry in $(installed); do \
	    IFS=:; set -- $$entry; place="$(DESTDIR)$$3"; echo "  INSTALL $$place"; \
	    case $$1 in \
	    link) ln -sf "$$2" "$$place" ;; \
	    *) install -D -m "$$1" "$$2" "$$place" ;; \
	    esac || exit; \
	done
	$(relink)

# Then the folders that became empty, up to the staging folder or the prefix.
uninstall:
	@for entry in $(installed); do \
	    place="$(DESTDIR)$${entry##*:}"; rm -f "$$place" || exit; \
	    folder="$${place%/*}"; last="$(or $(DESTDIR),$(patsubst %/,%,$(dir $(PREFIX))))"; \
	    while [ "$$folder" != "$$last" ]; do \
	        case " $(standing) " in *" $$folder "*) break ;; esac; \
	        rmdir "$$folder" 2>/dev/null || break; folder="$${folder%/*}"; \
	    done; \
	done
	$(relink)

clean:
	rm -rf build build-*
