#!/bin/sh
# Reports how large a program is, and warns on stderr when it is over budget: sh tests/size.sh build/wordcount
set -eu
program=$1
budget=${SIZE_BUDGET:-65536}

bytes=$(wc -c <"$program" | tr -d ' ')
strip -o "$program.stripped" "$program"
stripped=$(wc -c <"$program.stripped" | tr -d ' ')

echo "$program: $bytes bytes, $stripped without its debug information"
if [ "$stripped" -gt "$budget" ]; then
    echo "warning: $program is $((stripped - budget)) bytes over its budget of $budget" >&2
fi
