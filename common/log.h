/*
 * log.h - what the operator reads: one line an event, escaped, with the role and its pid.
 *
 * To syslog (facility AUTHPRIV) or to stderr. Control bytes in a line are escaped here too,
 * as the last line of defence; a value that came from a user is put through esc_*() first,
 * so that it cannot pretend to be another field. errno is after a line what it was before.
 */
#ifndef BASTION_LOG_H
#define BASTION_LOG_H

#include <stdbool.h>

enum log_level { LOG_LVL_DEBUG, LOG_LVL_INFO, LOG_LVL_NOTICE, LOG_LVL_WARN, LOG_LVL_ERROR };

/* `name` (static or kept by the caller) precedes each line. Call again after fork with the new role's name. */
void log_init(const char *name, bool to_stderr, enum log_level least);

/* From now on. */
void log_level_set(enum log_level least);

/* Another name for the lines to come: a fork that is a role of its own. Kept by the caller. */
void log_rename(const char *name);

void log_debug(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_notice(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Logs at level error and exits with status 1 (for main programs and roles, never for libraries). */
void fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

#endif
