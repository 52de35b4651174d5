/*
 * hex.h - bytes as hexadecimal and base64 text, and back. Pure; every role.
 */
#ifndef BASTION_HEX_H
#define BASTION_HEX_H

#include <stddef.h>
#include <stdint.h>

/* Lower case, terminated; out holds 2 * len + 1 bytes. Returns out. */
char *hex_encode(char *out, const void *data, size_t len);
/* Exactly 2 * len digits of either case and the end of the string. 0, or -1. */
int hex_decode(void *out, size_t len, const char *text);

/* Base64 (RFC 4648) without padding, as age writes it; terminated. Size of out for len bytes: */
#define BASE64_SIZE(len) (((len) * 4 + 2) / 3 + 1)
char *base64_encode(char *out, const void *data, size_t len);
/*
 * Canonical text of tlen characters, with the right padding or none at all: stray bits, line ends and spaces are
 * errors. Bytes written to out[size], or -1 (also when they do not fit).
 */
int base64_decode(void *out, size_t size, const char *text, size_t tlen);

#endif
