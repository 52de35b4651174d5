/*
 * main_replay.c - gives a fuzz target (LLVMFuzzerTestOneInput) a main: the inputs are the files named, or those of the
 * folders named, or standard input. So the test command replays the corpus with any compiler, and a crash by its file.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1U << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as large as its contents, so that the address sanitizer sees a byte too far. */
static int replay(FILE *f, const char *name)
{
	uint8_t *room = malloc(INPUT_MAX), *data;
	size_t n;

	if (f == NULL || room == NULL) {
		perror(name);
		free(room);
		return 1;
	}
	n = fread(room, 1, INPUT_MAX, f);
	data = malloc(n != 0 ? n : 1);
	if (data == NULL)
		return 1;
	memcpy(data, room, n);
	free(room);
	LLVMFuzzerTestOneInput(data, n);
	free(data);
	return 0;
}

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	int r = replay(f, path);

	if (f != NULL)
		fclose(f);
	return r;
}

int main(int argc, char **argv)
{
	unsigned inputs = 0;
	int bad = 0;

	if (argc < 2)
		return replay(stdin, "standard input");
	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		struct dirent *e;

		if (dir == NULL) {
			bad |= replay_file(argv[i]);
			inputs++;
			continue;
		}
		while ((e = readdir(dir)) != NULL) {
			char path[4096];

			if (e->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], e->d_name);
			bad |= replay_file(path);
			inputs++;
		}
		closedir(dir);
	}
	printf("%u inputs\n", inputs);
	return bad != 0 || inputs == 0;
}
