#include "count.h"

static bool is_blank(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

void count_add(struct count *count, const char *piece, size_t length) {
    for (size_t i = 0; i < length; i++) {
        bool blank = is_blank(piece[i]);
        if (!blank && !count->in_word) {
            count->words++;
        }
        if (piece[i] == '\n') {
            count->lines++;
        }
        count->in_word = !blank;
    }
    count->bytes += length;
}

void count_sum(struct count *total, const struct count *other) {
    total->lines += other->lines;
    total->words += other->words;
    total->bytes += other->bytes;
}
