/*
 * replay_tree.c - see replay_pull.h: which version of a tile is in the log's tree. Part of bastion-replay, below replay_sift.c.
 *
 * Whoever may put may be the first with a tile's name, and any hashes have its shape. But the newest checkpoint, which a collector signed, has
 * the root of all: it tells which tiles are the tree's right edge, a tile tells those below it, and those of level 0 tell the leaves. Tiles of
 * which there is one version are not looked at here: verify reads them all.
 */
#include "replay_pull.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tlog_reader.h"
#include "tlog_tile.h"
#include "tlog_tree.h"

#define EDGE_TRIES_MAX 65536	/* ways to put the right edge together: each costs at most 256 hashes a level */

struct tree {
	struct pull *p;
	int dir;			/* the copy's log */
	uint64_t size;
	const uint8_t *root;
	unsigned tries;
	struct {
		struct object *o;
		unsigned k;		/* while they are tried: this version */
	} edge[TLOG_LEVELS];
};

static unsigned edge_width(const struct tree *t, int level)
{
	return (unsigned)(t->size >> (8 * level)) % TLOG_TILE;
}

/* Of the tree's tile of that place: all there are, or what the edge has. */
static unsigned width_at(const struct tree *t, int level, uint64_t n)
{
	const uint64_t all = t->size >> (8 * level);

	return n * TLOG_TILE >= all ? 0 : all - n * TLOG_TILE < TLOG_TILE ? (unsigned)(all - n * TLOG_TILE) : TLOG_TILE;
}

static uint8_t *load(const struct tree *t, const struct object *o, unsigned k, size_t *len)
{
	char path[REPLAY_PATH_MAX];
	const int r = o->pending ? pull_place_part(t->p, path, o, k) : pull_place(t->p, path, o->name);

	return r != 0 || (o->pending && o->v[k].same) ? NULL : tlog_slurp(AT_FDCWD, path, BUCKET_OBJECT_MAX, len);
}

/* ---- the right edge ---- */

static bool try_edge(struct tree *t, int level, const uint8_t *below)
{
	uint8_t nodes[TLOG_TILE][HASH_LEN], root[HASH_LEN], *data;
	const unsigned width = level < TLOG_LEVELS ? edge_width(t, level) : 0;
	struct object *o;
	size_t len;

	if (level == TLOG_LEVELS)
		return below != NULL && memcmp(below, t->root, HASH_LEN) == 0;
	if (width == 0)
		return try_edge(t, level + 1, below);
	o = t->edge[level].o;
	for (unsigned k = o->pending ? o->n : 1; k-- > 0 && t->tries++ < EDGE_TRIES_MAX;) {
		bool fine = (data = load(t, o, k, &len)) != NULL && len == width * HASH_LEN;

		if (fine) {
			memcpy(nodes, data, len);
			if (below != NULL)
				memcpy(nodes[width], below, HASH_LEN);
			fine = tlog_fold(root, nodes, width + (below != NULL)) == 0;
		}
		free(data);
		t->edge[level].k = k;
		if (fine && try_edge(t, level + 1, root))
			return true;
	}
	return false;
}

static void settle_edge(struct tree *t)
{
	bool pending = false;

	for (int level = 0; level < TLOG_LEVELS; level++) {
		const unsigned width = edge_width(t, level);
		char name[4 + TLOG_PATH_LEN] = "log/";

		if (width == 0)
			continue;
		tlog_tile_path(name + 4, level, t->size >> (8 * (level + 1)), width);
		if ((t->edge[level].o = objects_find(&t->p->objects, name)) == NULL || t->edge[level].o->failed)
			return;
		pending = pending || t->edge[level].o->pending;
	}
	if (!pending || !try_edge(t, 0, NULL))
		return;
	for (int level = 0; level < TLOG_LEVELS; level++)
		if (edge_width(t, level) != 0 && t->edge[level].o->pending)
			versions_settle(t->p, t->edge[level].o, t->edge[level].k, FIT_PROVEN);
}

/* ---- what the tile above, or the one that it became, tells ---- */

/* A full tile's root is a hash of the level above. */
static bool in_tile_above(const struct tree *t, const struct tile_name *tile, const uint8_t *data)
{
	const uint64_t above = tile->n / TLOG_TILE;
	const unsigned width = tile->level + 1 < TLOG_LEVELS ? width_at(t, tile->level + 1, above) : 0, at = (unsigned)(tile->n % TLOG_TILE);
	uint8_t nodes[TLOG_TILE][HASH_LEN], root[HASH_LEN], *upper;
	size_t len;
	bool fine;

	if (at >= width || (upper = tlog_read_tile(t->dir, tile->level + 1, above, width, &len)) == NULL)
		return false;
	memcpy(nodes, data, sizeof(nodes));
	fine = len >= (at + 1) * HASH_LEN && tlog_fold(root, nodes, TLOG_TILE) == 0 && memcmp(root, upper + at * HASH_LEN, HASH_LEN) == 0;
	free(upper);
	return fine;
}

/* The hashes of a bundle's leaves. */
static bool hash_leaves(uint8_t (*out)[HASH_LEN], const uint8_t *data, size_t len, unsigned width)
{
	const uint8_t *leaf;
	size_t leaf_len;
	struct buf b;

	buf_view(&b, data, len);
	for (unsigned i = 0; i < width; i++)
		if ((leaf = tlog_bundle_next(&b, &leaf_len)) == NULL || tlog_hash_leaf(out[i], leaf, leaf_len) != 0)
			return false;
	return buf_left(&b) == 0;
}

/* The first hashes of the tree's tile at that place. */
static bool begins_tile(const struct tree *t, int level, uint64_t n, const void *hashes, unsigned width)
{
	const unsigned all = width_at(t, level, n);
	uint8_t *whole;
	size_t len;
	bool fine;

	if (width > all || (whole = tlog_read_tile(t->dir, level, n, all, &len)) == NULL)
		return false;
	fine = len >= width * HASH_LEN && memcmp(whole, hashes, width * HASH_LEN) == 0;
	free(whole);
	return fine;
}

static bool is_in_tree(const struct tree *t, const struct tile_name *tile, const uint8_t *data, size_t len)
{
	uint8_t hashes[TLOG_TILE][HASH_LEN];

	if (tile->level == TLOG_ENTRIES)
		return hash_leaves(hashes, data, len, tile->width) && begins_tile(t, 0, tile->n, hashes, tile->width);
	if (len != tile->width * HASH_LEN)
		return false;
	return tile->width == TLOG_TILE ? in_tile_above(t, tile, data) : begins_tile(t, tile->level, tile->n, data, tile->width);
}

/* All pending ones of that level that are full, or that are not. */
static void settle_level(struct tree *t, int level, bool full)
{
	for (size_t i = 0; i < t->p->end; i++) {
		struct object *o = &t->p->objects.v[i];
		struct tile_name tile;

		if (!o->pending || !fit_tile_name(&tile, o) || tile.level != level || (tile.width == TLOG_TILE) != full)
			continue;
		for (unsigned k = o->n; k-- > 0 && o->pending;) {
			size_t len;
			uint8_t *data = load(t, o, k, &len);

			if (data != NULL && is_in_tree(t, &tile, data, len))
				versions_settle(t->p, o, k, FIT_PROVEN);
			free(data);
		}
	}
}

void tree_settle(struct pull *p, uint64_t size, const uint8_t root[HASH_LEN])
{
	struct tree t = { .p = p, .size = size, .root = root };
	char path[REPLAY_PATH_MAX];

	if (size > TLOG_SIZE_MAX || pull_place(p, path, "log") != 0 || (t.dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return;
	settle_edge(&t);
	for (int level = TLOG_LEVELS - 1; level >= 0; level--) {
		settle_level(&t, level, true);
		settle_level(&t, level, false);
	}
	settle_level(&t, TLOG_ENTRIES, true);
	settle_level(&t, TLOG_ENTRIES, false);
	close(t.dir);
}
