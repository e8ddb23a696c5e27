/* Counting lines, words and bytes of a text that comes in pieces. */
#ifndef WORDCOUNT_COUNT_H
#define WORDCOUNT_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What has been seen so far. Starts as all zeroes. */
struct count {
    uint64_t lines; /* newlines, as in wc: an unfinished last line is not counted */
    uint64_t words; /* runs of bytes other than blanks */
    uint64_t bytes;
    bool in_word; /* whether the last piece ended inside a word, which the next may go on with */
};

/* Adds `length` bytes. A word split over two pieces is one word. */
void count_add(struct count *count, const char *piece, size_t length);

/* Adds the sums of `other`, a text of its own, to those of `total`. */
void count_sum(struct count *total, const struct count *other);

#endif
