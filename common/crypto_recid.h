/*
 * crypto_recid.h - ids of the recordings of one connection: policy makes them, recorder tells whose they are.
 *
 * Parent gives both a key when the connection comes (PEER_UP, REC_PEER_UP); the session, which names the id to recorder, has none. So a
 * session opens what policy gave it and nothing else, without a question to policy; and each id once: places of ways are used one
 * after the other, and the turn at each place only rises.
 *
 * An id is one block of AES-128: u64 0, u64 turn * RECID_PLACES + place. To whoever has no key it is random, each byte of it.
 */
#ifndef BASTION_CRYPTO_RECID_H
#define BASTION_CRYPTO_RECID_H

#include <stdint.h>

#define RECID_LEN 16
#define RECID_KEY_LEN 16
#define RECID_PLACES 16		/* ways of a connection at a time */

/* place below RECID_PLACES; turn from 1. 0, or -1 (OpenSSL). */
int recid_make(uint8_t id[RECID_LEN], const uint8_t key[RECID_KEY_LEN], unsigned place, uint64_t turn);
/* The turn, and its place; 0: the id was not made with this key. */
uint64_t recid_turn(const uint8_t id[RECID_LEN], const uint8_t key[RECID_KEY_LEN], unsigned *place);

#endif
