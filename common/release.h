/*
 * release.h - what all programs of one build have in common: the version, and where files of the administrator lie, by the SYSCONFDIR
 * that make was given.
 */
#ifndef BASTION_RELEASE_H
#define BASTION_RELEASE_H

extern const char release_version[];
extern const char release_bastiond_conf[];	/* bastiond.conf(5) */
extern const char release_collectord_conf[];	/* bastion-collectord(8) */
extern const char release_trust[];		/* what bastion-replay(1) believes */

#endif
