/*
 * rotate.h - `bastiond -N WHAT` and `-C WHAT`: a key is changed in two steps, so that who trusts the old one can trust
 * the new one before it is used. `bastionctl rotate begin` and `rotate end` exec them.
 */
#ifndef BASTIOND_ROTATE_H
#define BASTIOND_ROTATE_H

#include <stdbool.h>

struct config;

/*
 * As root; the daemon may run. what: signer, client, ca, hostkey or totp. Makes X.next beside each private key X and puts its
 * public half into X's public file, behind the one in use; says who needs a copy. May be repeated. 0, or -1 after a
 * line on standard error.
 */
int rotate_begin(const struct config *conf, const char *what);
/*
 * X.next takes the place of X. The old signing key's public half stays in signer.pub, for what it signed; the others' go.
 * A run that was cut short is repeated. 0, or -1 after a line.
 */
int rotate_end(const struct config *conf, const char *what);

/* rotate_totp.c: the key of totp_key, which has no public half. */
int rotate_totp(const struct config *conf, bool ends);
/* A fresh one, whole or not at all, mode 0600. 0, or -1 logged. */
int totpkey_make(const char *path);

#endif
