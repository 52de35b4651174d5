/*
 * s3_answer.h - what an object store answers: the few elements of its XML that are of use here, and its dates.
 *
 * Used by s3.c, the collector's archiver and the auditor's tools. Pure. The bytes come from the network: nothing is believed
 * but what is asked for, and that is copied within bounds.
 */
#ifndef BASTION_S3_ANSWER_H
#define BASTION_S3_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#define S3_CODE_MAX 63
#define S3_VERSION_MAX 127

/*
 * Text of the first element <NAME> that has no attributes and no children, with the five entities resolved, to out[size],
 * terminated. Its length; -1: there is none, or it does not fit, or has a byte below space.
 */
int s3_xml_text(const void *xml, size_t len, const char *name, char *out, size_t size);

/* What GET ?retention= says. 0; -1: it is none. */
int s3_retention_parse(const void *xml, size_t len, char mode[16], int64_t *until);
/* "2026-11-28T07:30:00Z", with or without a fraction of a second, to unix microseconds; digits behind the sixth say nothing. 0 or -1. */
int s3_date_parse(const char *text, int64_t *unix_us);
/* One line of printable ASCII from a message of the store, cut at size. */
void s3_clean(char *out, size_t size, const char *text, size_t len);

#endif
