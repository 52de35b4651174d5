/*
 * tlog_tile.h - where the log's hashes and leaves lie: C2SP tlog-tiles, paths and contents of tiles and entry bundles.
 *
 * Runs in bastion-collectord and the auditor's tools. Pure.
 *
 *   tile/L/N            256 hashes of level L: tile 0/N is over the leaf hashes, tile L/N over the roots of tiles of L - 1
 *   tile/L/N.p/W        its first W, while there are no more
 *   tile/entries/N      256 leaves, each u16 length ‖ bytes; and N.p/W
 *   checkpoint          the newest checkpoint
 *
 * N has three digits an element, all but the last behind an x: 1234067 is x001/x234/067.
 */
#ifndef BASTION_TLOG_TILE_H
#define BASTION_TLOG_TILE_H

#include "buf.h"
#include "crypto.h"

#define TLOG_TILE 256			/* hashes of a full tile */
#define TLOG_LEVELS 7			/* 2^56 leaves */
#define TLOG_SIZE_MAX ((uint64_t)1 << 55)
#define TLOG_PATH_LEN 64
#define TLOG_ENTRIES (-1)		/* in place of a level: the bundles of leaves */
#define TLOG_CHECKPOINT "checkpoint"

/* Path of a tile of `width` (1 to 256) to out. Returns out. */
char *tlog_tile_path(char out[TLOG_PATH_LEN], int level, uint64_t n, unsigned width);

/* Takes the next leaf of an entry bundle. Its bytes and *len; NULL: it is cut. */
const uint8_t *tlog_bundle_next(struct buf *b, size_t *len);
/* Bytes of the first `count` entries of the bundle; -1: it has fewer. */
long tlog_bundle_prefix(const uint8_t *data, size_t len, unsigned count);

#endif
