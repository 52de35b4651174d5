/*
 * tlog_proof.h - C2SP tlog-proof: that a leaf is in the tree of a checkpoint, as a text of its own; and the leaves of a bundle.
 *
 * Runs in the auditor's tools. tlog_proof_make and tlog_proof_parse are pure.
 *
 *   c2sp.org/tlog-proof@v1
 *   index N
 *   base64 of a hash          the path, from the leaf up
 *   (empty line)
 *   the checkpoint
 *
 * A bundle (brec_tar.h) has log/N.leaf, the leaf's bytes, and log/N.tlog-proof, for each leaf of its recording.
 */
#ifndef BASTION_TLOG_PROOF_H
#define BASTION_TLOG_PROOF_H

#include "brec_tar.h"
#include "tlog_reader.h"

#define TLOG_PROOF_MAX (TLOG_NOTE_MAX + 64 + 45 * TLOG_PATH_MAX)

/* 0, or -1. */
int tlog_proof_make(struct buf *out, const struct tlog_path *p, const void *checkpoint, size_t len);
/* *checkpoint: in the input. A line "extra" is passed over. 0; -1: this is none. */
int tlog_proof_parse(struct tlog_path *p, struct span *checkpoint, const void *data, size_t len);
/* The leaves of a bundle, each proven by a checkpoint of a trusted collector. Always fills *log; absent: it has none. */
void tlog_read_bundle(struct tlog_log *log, const struct brec_tar *t, const uint8_t (*keys)[KEY_LEN], size_t nkeys);

#endif
