/*
 * replay_bucket.h - a store in a bucket of an object store: which objects there are, in which versions, and a copy of them on this machine.
 *
 *   replay_bucket.c   the address, the credentials, the list of all versions
 *   replay_pull.c     the copy: what is not here yet is fetched, every version of it; bastion-replay pull
 *   replay_copy.c     its files
 *   replay_fit.c      can these bytes be what their name says?
 *   replay_versions.c which version of an object is taken, and what the others are
 *   replay_tree.c     the same for a tile of the log, of which the tree above it knows
 *   replay_sift.c     what cannot be what its name says is set aside; files that the bucket has in parts
 *   replay_mirror.c   what the copy's file `pulled` says: what was fetched, and where versions differ
 *
 * Part of bastion-replay. Nothing that the bucket says is believed: names are those of a store or are passed over, and bytes are
 * judged by verify. Of several versions of an object the oldest counts that can be what it is called: whoever may put may be first with other
 * bytes. Identical ones are what a lost answer to a put, or a longer lock leaves; one that was put later with other bytes is an alarm, unless it is what an open
 * segment grew to after it was put. A delete marker hides an object and removes nothing: it is told.
 */
#ifndef BASTION_REPLAY_BUCKET_H
#define BASTION_REPLAY_BUCKET_H

#include "replay.h"
#include "replay_term.h"
#include "s3_list.h"

#define BUCKET_OBJECTS_MAX (8U << 20)	/* of a list: a larger bucket is pulled some days at a time */
#define BUCKET_PAGES_MAX 200000		/* of its list */
#define BUCKET_VERSIONS_MAX 64		/* of one object that are looked at: the oldest half, and the newest */
#define BUCKET_OBJECT_MAX (64U << 20)	/* bytes of one object: twice those of a segment (CONFIG_SEGMENT_MAX) */
#define BUCKET_NAME_MAX 160		/* of an object below the prefix */
#define MIRROR_FILE "pulled"		/* in the copy */
#define MIRROR_LINE_MAX 512

/* ---- replay_bucket.c ---- */

struct object_version {
	char *id;
	uint64_t size;
	int64_t when;			/* unix microseconds */
	bool same;			/* as an older one, or as that grew to: it is not kept */
	bool tagged;			/* see s3_list.h */
	uint8_t tag[S3_TAG_LEN];
};

struct object {
	char *name;			/* below the prefix */
	struct object_version *v;	/* n of them, the newest first */
	unsigned n, all;		/* all: that there are, but for those of which the list says that they are the same */
	bool hidden;			/* by a delete marker that is newer than all versions */
	bool more;			/* there are more than BUCKET_VERSIONS_MAX: those between are not in v */
	uint8_t (*hash)[HASH_LEN];	/* while it is fetched: of each version, */
	unsigned left;			/* and how many are not here yet */
	unsigned taken;			/* when it is here: this one is the file */
	bool pending;			/* all versions are here, and the log's other objects tell which is taken */
	bool failed;
	bool large;			/* it has no version that is not larger than any file of a store */
	bool aside;			/* it is not what its name says, and no part of the store */
};

struct objects {
	struct object *v;		/* by name */
	size_t n, cap, versions, hidden, foreign;
	uint64_t bytes;			/* of all versions */
};

struct bucket {
	char endpoint[256], name[64], prefix[S3_KEY_MAX];	/* prefix: "" or with a slash at its end */
	struct s3_credentials credentials;
	struct buf ca;
	struct s3 *s3;
	struct progress bar;		/* of its list */
};

/* Is it an address of a bucket, and no directory? */
bool bucket_is_url(const char *store);
/* https://HOST[:PORT]/BUCKET[/PREFIX], with the credentials of the options or the environment. 0, or -1: said on standard error. */
int bucket_open(struct bucket *b, const struct args *a, const char *url);
void bucket_close(struct bucket *b);
/* How long to wait after the tries-th try (from 1) that failed with this status, 0: without an answer. Milliseconds; -1: it is given up. */
int bucket_retry_ms(int status, unsigned tries);
/* The days whose recordings are meant, "2026-11-22", both inclusive; "": from the first one, or to the last one. */
struct days {
	char first[11], last[11];
};
/* Those of times in unix seconds; 0 and INT64_MAX: no limit. */
struct days days_of(int64_t since, int64_t until);
/* Is the object one of a recording of these days, or of the log? */
bool days_have(const struct days *d, const char *name);
/* Everything that is a part of a store: all of its log, and recordings of these days. 0, or -1: said. */
int bucket_list(struct bucket *b, const struct days *d, struct objects *out);
void objects_finish(struct objects *o);
/* The object of that name, or NULL. */
struct object *objects_find(const struct objects *o, const char *name);
/* Is that a name that a collector's archiver makes? recordings/DAY/ID/… and log/… */
bool bucket_name_ok(const char *name);

/* ---- replay_mirror.c ---- */

/* A line of `pulled`. */
struct mirrored {
	char name[BUCKET_NAME_MAX + 1], version[S3_VERSION_MAX + 1];	/* the version whose bytes are here */
	uint64_t size;
	uint8_t hash[HASH_LEN];
	unsigned versions;		/* that there were, object.all */
	bool differs;			/* one with other bytes was put later, and which is true nobody knows */
	bool others;			/* some cannot be what the object is called: no verdict rests on them */
	size_t line;			/* private */
};

struct mirror {
	struct mirrored *v;		/* by name, one each: the newest line */
	size_t n, cap;
};

/* The file below `store`, as far as days have it; none is an empty mirror. 0, or -1 with errno. mirror_finish in any case. */
int mirror_load(struct mirror *m, const char *store, const struct days *d);
/* The same of all days, but of those objects alone whose versions differed at some time. */
int mirror_load_differing(struct mirror *m, const char *store);
void mirror_finish(struct mirror *m);
const struct mirrored *mirror_find(const struct mirror *m, const char *name);
/* The first object below this directory's name ("recordings/DAY/ID/", "log/") whose versions differ; NULL: none. */
const struct mirrored *mirror_differs(const struct mirror *m, const char *below);
/* One line, without its newline: into out[size]; -1: it does not fit. And back. */
int mirror_format(char *out, size_t size, const struct mirrored *m);
int mirror_parse(struct mirrored *m, const char *line, size_t len);

/* ---- replay_copy.c ---- */

#define COPY_PARTS ".part"	/* the copy's directory of what is on its way: no object has a name in it */

/* A new file, and never through a link that stands there. NULL with errno. */
FILE *copy_create(const char *path);
/* To where it belongs below `top`, whose directories are made. 0 or -1 with errno. */
int copy_move(const char *top, const char *from, const char *to);
/* That directory below `top`, emptied of what a pull left that was ended; made, or, if it is not to be kept, removed. 0 or -1 with errno. */
int copy_parts(const char *top, bool keep);
/* Has the file these bytes? One of the same length need not be the same. */
bool copy_has(const char *path, const uint8_t hash[HASH_LEN]);
/* Appends a file to another. 0 or -1 with errno. */
int copy_append(FILE *out, const char *path);

/* ---- replay_pull.c ---- */

/* Copies the bucket into the directory `to`, or what is missing of it there. An exit status: 1 if versions differ. */
int pull_bucket(const struct args *a, const char *url, const char *to);

#endif
