/*
 * policy_rig_channel.h - a session asks policy for a channel of its way. Part of policy_rig_way.h.
 */
#ifndef BASTION_POLICY_RIG_CHANNEL_H
#define BASTION_POLICY_RIG_CHANNEL_H

/* command: or where to it forwards. */
static inline void channel_to(struct session_end *s, const char *capability, const char *command)
{
	struct buf b;

	buf_init(&b, 256);
	buf_put_u32(&b, 77);
	buf_put_cstring(&b, capability);
	buf_put_cstring(&b, command);
	assert_int_equal(ipc_send(&s->link, MSG_CHAN_ASK, 1, &b, NULL, 0), 0);
	buf_finish(&b);
}

static inline void channel_ask(struct session_end *s, const char *capability)
{
	channel_to(s, capability, strcmp(capability, "shell") == 0 ? "" : strcmp(capability, "sftp") == 0 ? "sftp" :
	    strcmp(capability, "forward") == 0 ? "db1:5432" : "true --password=secret");
}

static inline void channel_answered(struct rig *r, struct session_end *s, uint8_t ok)
{
	char line[LINE_LEN];
	struct ipc_msg m;

	expect(r, &s->link, MSG_CHAN_RE, &m);
	assert_int_equal(buf_get_u32(&m.body), 77);
	assert_int_equal(buf_get_u8(&m.body), ok);
	assert_int_equal(buf_get_cstring(&m.body, line, sizeof(line)), 0);
	buf_get_u8(&m.body);
	assert_true(buf_end(&m.body) && (ok || line[0] != '\0'));
	ipc_msg_finish(&m);
}

static inline void channel(struct rig *r, struct session_end *s, const char *capability, uint8_t ok)
{
	channel_ask(s, capability);
	channel_answered(r, s, ok);
}

#endif
