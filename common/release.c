/*
 * release.c - see release.h. The one file that is compiled with SYSCONFDIR: the Makefile does that again when it is another one.
 */
#include "release.h"

#ifndef BASTIOND_VERSION
#define BASTIOND_VERSION "1.0"
#endif

const char release_version[] = BASTIOND_VERSION;
const char release_bastiond_conf[] = SYSCONFDIR "/bastiond/bastiond.conf";
const char release_collectord_conf[] = SYSCONFDIR "/bastiond/collectord.conf";
const char release_trust[] = SYSCONFDIR "/bastiond/trust";
