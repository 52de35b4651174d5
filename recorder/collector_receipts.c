/*
 * collector_receipts.c - a recording's file `receipts`: what was signed of its seals and its close. Runs in bastion-collectord; comes after
 * collector_conn.c, which signs.
 */
#include "collector_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "log.h"

/*
 * Where the next receipt goes: after the last whole one. What a crash tore is written over: it was never complete. Known only when the file
 * was read to its end: a receipt that is there is never written over. 0, or -1 with errno.
 */
static int receipts_end(struct rec *r, int fd)
{
	struct receipt one;
	struct stat st;
	uint8_t *data;
	struct buf b;
	off_t end = 0;
	ssize_t n;

	if (r->receipts_end >= 0)
		return 0;
	if (fstat(fd, &st) != 0)
		return -1;
	if (st.st_size > STORE_RECEIPTS_BYTES) {
		errno = EFBIG;
		return -1;
	}
	if ((data = malloc((size_t)st.st_size + 1)) == NULL)
		return -1;
	errno = EIO;
	n = pread(fd, data, (size_t)st.st_size, 0);
	for (buf_view(&b, data, n > 0 ? (size_t)n : 0); receipt_get(&b, &one) == 0;)
		end = (off_t)b.off;
	free(data);
	if (n != st.st_size)
		return -1;
	r->receipts_end = end;
	return 0;
}

/* Behind the others; not so many that nobody would read the file. 0, or -1 with errno. */
static int put_receipt(struct rec *r, int fd, const struct buf *b)
{
	if (receipts_end(r, fd) != 0)
		return -1;
	errno = EFBIG;
	if (r->receipts_end + (off_t)b->len > STORE_RECEIPTS_BYTES)
		return -1;
	errno = EIO;
	if (pwrite(fd, b->data, b->len, r->receipts_end) != (ssize_t)b->len)
		return -1;
	r->receipts_end += (off_t)b->len;
	return 0;
}

void store_receipt(struct store *s, struct rec *r, const struct receipt *receipt)
{
	int fd = apply_open(s, r, "receipts", true);
	struct buf b;

	buf_init(&b, RECEIPT_LEN_MAX + 8);
	if (fd < 0 || receipt_put(&b, receipt) != 0 || put_receipt(r, fd, &b) != 0)
		log_warn("%s/receipts: %s: this receipt is not kept", r->dir, strerror(errno));
	if (s->complete != NULL)
		s->complete(s->ctx, r->dir);
	buf_finish(&b);
	if (fd >= 0)
		close(fd);
}
