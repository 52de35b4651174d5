/*
 * init.h - `bastiond -I`: the keys and the database of a new bastion.
 */
#ifndef BASTIOND_INIT_H
#define BASTIOND_INIT_H

struct config;

/*
 * As root, with the daemon not running. Makes what is missing of the state directory, keeps what is
 * there, says both on standard output with the steps that come next. Each piece appears whole or
 * not at all, so that a run that was cut short is simply repeated. What is there but wrong (owner,
 * mode, kind, half of a pair) is refused with advice, and nothing after it is made. 0, or -1 after
 * a line on standard error.
 */
int bastiond_init(const struct config *conf);
/* The directory of the database, user_policy's alone: made if it is missing, refused with advice if it is another's. 0, or -1 after a line. */
int init_database_dir(const struct config *conf);

#endif
