/*
 * command.h - what a command is for, by its words alone: a file transfer of which kind, or anything.
 *
 * Used by policy and session, which have to agree on it, and by bastion-replay approvals, which holds the channels of a recording against what
 * was signed.
 */
#ifndef BASTION_COMMAND_H
#define BASTION_COMMAND_H

/* 't': it takes files from the user, 'f': it gives them, 0: the command is no scp in the old protocol. */
char command_scp_direction(const char *command);
/*
 * The capability that a command needs: "scp" for `scp -t|-f …` of plain words (no quoting, no shell characters), "sftp" for
 * an sftp-server path, else "exec".
 */
const char *command_capability(const char *command);

#endif
