/* wordcount: prints lines, words and bytes of each file named, or of its input, like wc. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "count.h"

enum { PIECE = 64 * 1024 };

static void print_count(const struct count *count, const char *name) {
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64, count->lines, count->words, count->bytes);
    if (name != NULL) {
        printf(" %s", name);
    }
    putchar('\n');
}

/* Counts what is left of `file`; false when reading it failed. */
static bool count_file(FILE *file, struct count *count) {
    static char piece[PIECE];
    size_t length;
    while ((length = fread(piece, 1, sizeof piece, file)) > 0) {
        count_add(count, piece, length);
    }
    return ferror(file) == 0;
}

static bool count_named(const char *name, struct count *count) {
    FILE *file = fopen(name, "rb");
    if (file == NULL) {
        return false;
    }
    bool done = count_file(file, count);
    int reason = errno;
    fclose(file);
    errno = reason;
    return done;
}

int main(int argc, char **argv) {
    struct count total = {0};
    int status = 0;
    if (argc < 2) {
        if (!count_file(stdin, &total)) {
            fprintf(stderr, "wordcount: reading the input: %s\n", strerror(errno));
            return 1;
        }
        print_count(&total, NULL);
        return 0;
    }
    for (int i = 1; i < argc; i++) {
        struct count one = {0};
        if (count_named(argv[i], &one)) {
            print_count(&one, argv[i]);
            count_sum(&total, &one);
        } else {
            fprintf(stderr, "wordcount: reading %s: %s\n", argv[i], strerror(errno));
            status = 1; /* the others are still counted */
        }
    }
    if (argc > 2) {
        print_count(&total, "total");
    }
    return status;
}
