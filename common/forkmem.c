/*
 * forkmem.c - see forkmem.h.
 */
#include "forkmem.h"

#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif

#define RANGES_MAX 128
#define TEXT_MAX (8U << 20)	/* of one library, */
#define DATA_MAX (64U << 10)	/* of its variables: */
#define HEAP_MAX (1U << 20)	/* more is not used at once */

struct range { uintptr_t from, to; int advice; };

static struct range ranges[RANGES_MAX];
static size_t nranges;
static uintptr_t page_size, heap;	/* heap: where malloc's first one begins; 0: not known, and left to its faults */

static void add(uintptr_t from, uintptr_t to, size_t max, int advice)
{
	from &= ~(page_size - 1);
	to = (to + page_size - 1) & ~(page_size - 1);
	if (to - from > max)
		to = from + max;
	if (nranges < RANGES_MAX && to > from)
		ranges[nranges++] = (struct range){ from, to, advice };
}

static bool wanted(const char *path, const char *const libraries[])
{
	const char *name = strrchr(path, '/');

	name = name != NULL ? name + 1 : path;
	/* the program itself has no name */
	if (name[0] == '\0' || strncmp(name, "libc.so", 7) == 0)
		return true;
	for (; *libraries != NULL; libraries++)
		if (strncmp(name, *libraries, strlen(*libraries)) == 0)
			return true;
	return false;
}

/* The page of its name within the library: dlopen(), by which PAM comes to its modules, compares it with that of each that is loaded. */
static void add_name(uintptr_t base, const ElfW(Dyn) *d)
{
	uintptr_t strings = 0, name = 0;

	for (; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_STRTAB)
			strings = d->d_un.d_ptr;
		if (d->d_tag == DT_SONAME)
			name = d->d_un.d_val;
	}
	/* glibc has added the base already, but for what the kernel loads */
	if (strings > base && name != 0)
		add(strings + name, strings + name + 1, page_size, MADV_POPULATE_READ);
}

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
	const bool all = wanted(info->dlpi_name, arg);
	const ElfW(Phdr) *end = info->dlpi_phdr + info->dlpi_phnum;
	uintptr_t relro = 0;

	(void)size;
	for (const ElfW(Phdr) *p = info->dlpi_phdr; p < end; p++) {
		if (p->p_type == PT_GNU_RELRO)
			relro = info->dlpi_addr + p->p_vaddr + p->p_memsz;
		if (p->p_type == PT_DYNAMIC)
			add_name(info->dlpi_addr, (const ElfW(Dyn) *)(info->dlpi_addr + p->p_vaddr));
	}
	for (const ElfW(Phdr) *p = info->dlpi_phdr; p < end && all; p++) {
		const uintptr_t from = info->dlpi_addr + p->p_vaddr, to = from + p->p_memsz;

		if (p->p_type == PT_LOAD && (p->p_flags & PF_X) != 0)
			add(from, to, TEXT_MAX, MADV_POPULATE_READ);
		/* what is not read-only after the relocations */
		if (p->p_type == PT_LOAD && (p->p_flags & PF_W) != 0 && to > relro)
			add(relro > from ? relro : from, to, DATA_MAX, MADV_POPULATE_WRITE);
	}
	return 0;
}

static uintptr_t heap_start(void)
{
	unsigned long from = 0;
	char line[512];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f != NULL && from == 0 && fgets(line, sizeof(line), f) != NULL)
		if (strstr(line, "[heap]") != NULL)
			from = strtoul(line, NULL, 16);
	if (f != NULL)
		fclose(f);
	return from;
}

void forkmem_prepare(const char *const libraries[])
{
	page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
	nranges = 0;
	dl_iterate_phdr(look, (void *)(uintptr_t)libraries);
	heap = heap_start();
}

void forkmem_map(void)
{
	const uintptr_t end = heap != 0 ? (uintptr_t)sbrk(0) : 0;

	for (size_t i = 0; i < nranges; i++)
		madvise((void *)ranges[i].from, ranges[i].to - ranges[i].from, ranges[i].advice);
	if (end > heap && end - heap <= HEAP_MAX)
		madvise((void *)heap, end - heap, MADV_POPULATE_WRITE);
}

void *forkmem_table(size_t n, size_t size)
{
	void *table = size == 0 || n > SIZE_MAX / size ? MAP_FAILED :
	    mmap(NULL, n * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (table == MAP_FAILED)
		return NULL;
	madvise(table, n * size, MADV_DONTFORK);
	return table;
}

void forkmem_table_free(void *table, size_t n, size_t size)
{
	if (table != NULL)
		munmap(table, n * size);
}
