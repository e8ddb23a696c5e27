/* Tests of counting, without the program around it. */
#include <stdio.h>
#include <string.h>

#include "count.h"

static int failed;

static void expect(const char *property, bool holds) {
    printf("%s %s\n", holds ? "ok  " : "FAIL", property);
    failed += !holds;
}

static struct count count_of(const char *text) {
    struct count count = {0};
    count_add(&count, text, strlen(text));
    return count;
}

static bool same(struct count a, struct count b) {
    return a.lines == b.lines && a.words == b.words && a.bytes == b.bytes;
}

/* Whether a text counts the same however it is cut in two. */
static bool cutting_changes_nothing(const char *text) {
    size_t length = strlen(text);
    for (size_t cut = 0; cut <= length; cut++) {
        struct count pieces = {0};
        count_add(&pieces, text, cut);
        count_add(&pieces, text + cut, length - cut);
        if (!same(pieces, count_of(text))) {
            return false;
        }
    }
    return true;
}

int main(void) {
    struct count two = count_of("one two\nthree\n");
    expect("an_empty_text_has_no_words", same(count_of(""), (struct count){0}));
    expect("blanks_alone_are_no_words", count_of(" \t\n\r\v\f ").words == 0);
    expect("words_and_lines_are_counted", two.lines == 2 && two.words == 3 && two.bytes == 14);
    expect("an_unfinished_line_is_not_counted", count_of("one\ntwo").lines == 1);
    expect("bytes_beyond_ascii_make_words", count_of("\xc3\xa9t\xc3\xa9 fini").words == 2);
    expect("cutting_a_text_changes_nothing", cutting_changes_nothing("  the hop\tand the line\n\nend"));

    struct count total = count_of("one");
    count_sum(&total, &two);
    expect("two_texts_do_not_share_a_word", total.words == 4);
    return failed != 0;
}
