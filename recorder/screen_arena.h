/*
 * screen_arena.h - memory for one libvterm, which can be copied and put back.
 *
 * libvterm's state (pen, margins, tab stops, saved cursor …) cannot be asked for and set, but all of it
 * is in memory that it takes from an allocator. From this one it comes in one piece, and a copy of
 * the piece, put back at the same address, is the state of that moment.
 */
#ifndef BASTION_SCREEN_ARENA_H
#define BASTION_SCREEN_ARENA_H

#include <stddef.h>

#include <vterm.h>

/*
 * libvterm 0.1.4 takes less than 5 KiB at the largest size, and as much again while it resizes
 * (test_screen measures it). It does not look whether it got memory, so this is several times that.
 */
#define ARENA_BYTES 65536U

struct arena;

/* NULL with errno. */
struct arena *arena_create(void);
void arena_destroy(struct arena *a);
/* Forgets all that was taken. */
void arena_reset(struct arena *a);
/* For vterm_new_with_allocator, with the arena as its data. */
extern VTermAllocatorFunctions arena_functions;
/* Bytes from `a` on that a copy has to have. */
size_t arena_used(const struct arena *a);

#endif
