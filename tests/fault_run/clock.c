/* Preloaded into a runner: its clock goes wrong by as many seconds as CLOCK_OFF says. Clocks that only measure are
 * left as they are. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(clock, at);
    const char *off = getenv("CLOCK_OFF");
    if (!failed && off && clock == CLOCK_REALTIME) at->tv_sec += atol(off);
    return failed;
}
