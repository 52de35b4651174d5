/*
 * grant_note.h - how policy words that a session rests on another grant than the one in its recording's metadata. The line is a note in the
 * recording; bastion-replay approvals finds it by these words, behind which the grant's number stands.
 */
#ifndef BASTION_GRANT_NOTE_H
#define BASTION_GRANT_NOTE_H

#define GRANT_NOTE_JOINS "bastiond: this session uses grant "
#define GRANT_NOTE_MOVES "; this session goes on under grant "

#endif
