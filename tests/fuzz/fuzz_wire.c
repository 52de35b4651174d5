/*
 * fuzz_wire.c - messages between recorder and collector, and stored receipts, from any bytes: what decodes, encodes to the same bytes.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "wire_receipt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void encode(struct buf *b, const struct wire_msg *m)
{
	static struct wire_leaf leaves[WIRE_LEAVES_MAX];

	for (size_t i = 0; (m->type == WIRE_COMMIT || m->type == WIRE_RECEIPT) && i < m->commit.n; i++)
		wire_leaf_get(m, i, &leaves[i]);
	switch (m->type) {
	case WIRE_HELLO:
		wire_put_hello(b, m->hello.key, m->hello.name);
		break;
	case WIRE_RESUME:
		wire_put_resume(b, m->resume.id, m->resume.opened_us);
		break;
	case WIRE_AT:
		wire_put_at(b, m->at.id, m->at.state, m->at.seq, m->at.h);
		break;
	case WIRE_COMMIT:
		wire_put_commit(b, leaves, m->commit.n);
		break;
	case WIRE_RECEIPT:
		wire_put_receipt(b, m->commit.wall_us, m->commit.sig, leaves, m->commit.n);
		break;
	case WIRE_STATE:
		wire_put_state(b, m->state.takes, m->state.text);
		break;
	case WIRE_ERR:
		wire_put_err(b, m->err.id, (enum wire_err)m->err.code, m->err.text);
		break;
	default:
		wire_put_entry(b, &m->entry);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct receipt r;
	struct buf b, v;
	long len;

	for (size_t at = 0; (len = wire_length(data + at, size - at)) > 0 && (size_t)len <= size - at; at += (size_t)len) {
		struct wire_msg m;

		if (wire_decode(&m, data + at, (size_t)len) != 0)
			continue;
		buf_init(&b, WIRE_MAX);
		encode(&b, &m);
		/* a HELLO of another version is shown as such, and made as ours */
		if ((m.type != WIRE_HELLO || m.hello.version == WIRE_VERSION) &&
		    (!buf_ok(&b) || b.len != (size_t)len || memcmp(b.data, data + at, b.len) != 0))
			abort();
		buf_finish(&b);
	}
	for (buf_view(&v, data, size); receipt_get(&v, &r) == 0;)
		receipt_check(&r);
	return 0;
}
