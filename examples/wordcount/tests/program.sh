#!/bin/sh
# Tests of the program as a user calls it: sh tests/program.sh build/wordcount
set -u
case $1 in
/*) program=$1 ;;
*) program=$PWD/$1 ;;
esac
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

expect() { # property, wanted, found
    if [ "$2" = "$3" ]; then
        echo "ok   $1"
    else
        echo "FAIL $1: wanted '$2', found '$3'"
        failed=1
    fi
}

count_inside() { # runs the program inside the folder, so that names come out short
    (cd "$folder" && "$program" "$@" 2>/dev/null)
}

printf 'one two\nthree\n' >"$folder/a"
printf 'four\n' >"$folder/b"

expect the_input_is_counted "2 3 14" "$("$program" <"$folder/a")"
expect a_file_is_named "2 3 14 a" "$(count_inside a)"
expect several_files_are_summed "2 3 14 a 1 1 5 b 3 4 19 total" "$(count_inside a b | tr '\n' ' ' | sed 's/ $//')"
expect a_missing_file_spares_the_others "1 1 5 b 1 1 5 total" "$(count_inside none b | tr '\n' ' ' | sed 's/ $//')"
count_inside none >/dev/null
expect a_missing_file_fails_the_run 1 $?

# Large enough that it comes in many pieces: 8 bytes a line, 4 million lines.
yes 'two wrd' | head -n 4000000 >"$folder/large"
expect a_large_file_loses_nothing "4000000 8000000 32000000 large" "$(count_inside large)"

exit $failed
