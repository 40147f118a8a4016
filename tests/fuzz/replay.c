/*
 * replay.c: runs a fuzz target over its corpus, without libFuzzer, so that `make test` needs no clang.
 *
 * The program is called test_NAME and reads $TOP/tests/fuzz/corpus/NAME. It fails when the target does, by a crash or
 * an abort, after naming the file; the empty input is always tried.
 */
#include <dirent.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 1 << 24 };

/* Exactly as long as the file, so that a sanitizer sees a read past the end. */
static int replay_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    uint8_t *data = NULL;
    int result = -1;
    long size;

    if (file == NULL)
        return -1;
    if (fseek(file, 0, SEEK_END) != 0 || (size = ftell(file)) < 0 || size > INPUT_MAX)
        goto close_file;
    rewind(file);
    data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL || fread(data, 1, (size_t)size, file) != (size_t)size)
        goto close_file;
    LLVMFuzzerTestOneInput(data, (size_t)size);
    result = 0;

close_file:
    free(data);
    fclose(file);
    return result;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Returns how many files were fed, or -1. */
static int replay_folder(const char *folder)
{
    struct dirent **entries;
    int n = -1, failed = 0;

    if (chdir(folder) == 0)
        n = scandir(".", &entries, visible, alphasort);
    if (n < 0) {
        printf("# no folder %s\n", folder);
        return -1;
    }
    for (int i = 0; i < n; i++) {
        printf("# %s/%s\n", folder, entries[i]->d_name);
        fflush(stdout);
        failed |= replay_file(entries[i]->d_name) < 0;
        free(entries[i]);
    }
    free(entries);
    return failed ? -1 : n;
}

int main(int argc, char **argv)
{
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *program = slash != NULL ? slash + 1 : "";
    const char *top = getenv("TOP");
    char folder[PATH_MAX];
    int fed;

    if (strncmp(program, "test_", 5) != 0) {
        fprintf(stderr, "replay: must be called by its path, .../test_NAME\n");
        return 2;
    }
    snprintf(folder, sizeof folder, "%s/tests/fuzz/corpus/%s", top != NULL ? top : ".", program + 5);
    printf("1..1\n");
    LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    fed = replay_folder(folder);
    printf("%sok 1 - every input of the corpus holds\n", fed > 0 ? "" : "not ");
    return fed > 0 ? 0 : 1;
}
