/*
 * store_device.h - devices that wait, enrolment codes, and where users are known to come from (store_device.c). Results as in
 * store.h. Policy role.
 */
#ifndef BASTION_STORE_DEVICE_H
#define BASTION_STORE_DEVICE_H

#include "store.h"

#define STORE_WAITING_MAX 8	/* devices of one user that wait for an approval */
#define STORE_NETWORKS_MAX 64	/* networks remembered of one user: past that the one used longest ago goes */
#define STORE_CLIENT_MAX 64	/* bytes of a client's version */
#define INVITE_HASH_LEN 32

/* A device that its owner wants, until somebody else says yes. errno EEXIST: the name or key waits already or is known; ENOSPC. */
int store_waiting_add(struct store *s, const struct device *d, const void *blob, size_t len, int64_t now);
/* By name; with its key. d->id is not that of a device. */
int store_waiting(struct store *s, int64_t user_id, const char *name, struct device *d, uint8_t blob[STORE_BLOB_MAX],
    size_t *len);
/* 1 it waited, 0 not, -1. */
int store_waiting_drop(struct store *s, int64_t user_id, const char *name);
/* This device comes in: nothing waits under its name, and its key waits nowhere. 0, or -1. */
int store_waiting_settle(struct store *s, const struct device *d);

/* One code a user; a new one voids the old. */
int store_invite_set(struct store *s, int64_t user_id, const uint8_t hash[INVITE_HASH_LEN], int64_t until);
/* Uses it up: 1; 0: there is no such code, or it is over; -1. */
int store_invite_spend(struct store *s, int64_t user_id, const uint8_t hash[INVITE_HASH_LEN], int64_t now);

/* What a login shows about where it came from. */
struct familiar {
	bool new_device, new_network;	/* never seen before this call */
	int64_t device_first, network_first;	/* since when they are known */
};

/* A login with this device from this network: notes both. 0, or -1. */
int store_familiar_note(struct store *s, int64_t user_id, int64_t device_id, const char *network, const char *client,
    int64_t now, struct familiar *f);
/* The same without noting anything. */
int store_familiar(struct store *s, int64_t user_id, int64_t device_id, const char *network, struct familiar *f);

#endif
