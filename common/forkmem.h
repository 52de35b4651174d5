/*
 * forkmem.h - the memory of a fork: what it maps at once instead of fault by fault, and what it does not take along.
 *
 * Runs in master and parent before they fork, and first of all in what they fork for one connection: sessions (role_session.c) and
 * workers (parent_worker.c). A fork begins with program text that is not mapped and data that is copied when it is written: 100 to 150 page
 * faults a login. Each costs under 1 us on bare metal, and 20 to 40 us under a hypervisor that shadows page tables; a call for
 * many pages costs a tenth of that. And each page that a fork takes along is copied into its page table and out of it again.
 */
#ifndef BASTION_FORKMEM_H
#define BASTION_FORKMEM_H

#include <stddef.h>

/*
 * In the parent of the forks, once, when all libraries are loaded and /proc is there: what there is to map, which is the heap, and text and variables
 * of this program, of libc, and of the libraries whose file names begin with one of the list (ended by NULL). No errors: what is not
 * found is not mapped.
 */
void forkmem_prepare(const char *const libraries[]);
/* In a fork. Without effect before forkmem_prepare(), on kernels before 5.14, and where memory is short. */
void forkmem_map(void);

/* A zeroed table of n times size bytes that no fork has: there, it must not be touched. NULL: no memory. */
void *forkmem_table(size_t n, size_t size);
void forkmem_table_free(void *table, size_t n, size_t size);

#endif
