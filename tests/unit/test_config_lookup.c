/*
 * test_config_lookup.c - the name of a collector is looked up apart, by somebody without rights, and not for ever.
 * WRAP: getaddrinfo
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "config_option.h"

int __real_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out);

static unsigned open_descriptors(void)
{
	unsigned n = 0;

	for (int fd = 3; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A name server and a library that one may have in one's power: what they make of these names. */
int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	struct addrinfo *ai;
	struct sockaddr_in *sin;

	if ((hints->ai_flags & AI_NUMERICHOST) != 0 || strstr(host, ".test") == NULL)
		return __real_getaddrinfo(host, service, hints, out);
	while (strcmp(host, "hangs.test") == 0)
		poll(NULL, 0, -1);
	if (strcmp(host, "dies.test") == 0)
		_exit(0);
	if (strcmp(host, "unknown.test") == 0)
		return 4711;
	ai = calloc(1, sizeof(*ai) + sizeof(struct sockaddr_storage));
	sin = (struct sockaddr_in *)(void *)(ai + 1);
	*sin = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(6) };
	sin->sin_addr.s_addr = htonl(strcmp(host, "uid.test") == 0 ? getuid() : open_descriptors());
	sin->sin_family = strcmp(host, "odd.test") == 0 ? AF_UNIX : AF_INET;
	ai->ai_addr = (struct sockaddr *)sin;
	ai->ai_addrlen = strcmp(host, "long.test") == 0 ? 100 : sizeof(*sin);
	*out = ai;
	return 0;
}

static const char *lookup(const struct config *conf, const char *host, uint64_t ms, struct sockaddr_in *sin)
{
	struct config_addr a = { .len = 0 };
	const char *why = config_lookup(conf, host, 7422, clock_mono_ms() + ms, &a);

	memcpy(sin, &a.ss, sizeof(*sin));
	/* nobody is left behind */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	if (why == NULL)
		assert_int_equal(ntohs(sin->sin_port), 7422);
	return why;
}

static void test_lookups(void **state)
{
	struct config *conf = config_defaults();
	int before = (int)open_descriptors();
	struct sockaddr_in sin;
	struct config_addr a;
	uint64_t begin;

	(void)state;
	assert_non_null(conf);
	free(conf->user_dial.name);
	conf->user_dial.name = strdup("905");
	assert_null(lookup(conf, "192.0.2.7", 60000, &sin));
	assert_int_equal(ntohl(sin.sin_addr.s_addr), 0xc0000207);
	assert_null(lookup(conf, "uid.test", 60000, &sin));
	assert_int_equal(ntohl(sin.sin_addr.s_addr), geteuid() == 0 ? 905 : geteuid());
	assert_null(lookup(conf, "descriptors.test", 60000, &sin));
	assert_int_equal(ntohl(sin.sin_addr.s_addr), 1); /* where it answers */
	assert_string_equal(lookup(conf, "odd.test", 60000, &sin), "the answer is no address");
	assert_string_equal(lookup(conf, "long.test", 60000, &sin), "the answer is no address");
	assert_string_equal(lookup(conf, "dies.test", 60000, &sin), "it could not be looked up");
	assert_string_equal(lookup(conf, "unknown.test", 60000, &sin), gai_strerror(4711));
	begin = clock_mono_ms();
	assert_string_equal(lookup(conf, "hangs.test", 200, &sin), "no answer in time");
	assert_in_range(clock_mono_ms() - begin, 200, 20000);
	/* what was sent to a role has addresses alone: nobody is asked there */
	assert_non_null(config_lookup(conf, "uid.test", 7422, 0, &a));
	assert_int_equal(open_descriptors(), before);
	config_destroy(conf);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lookups) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
