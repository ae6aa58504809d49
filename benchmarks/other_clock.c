// SPDX-License-Identifier: GPL-3.0-or-later
// Gives one process clocks of its own whose relation to the machine's is known (LD_PRELOAD; see coverage.py):
//   monotonic' = monotonic + OTHER_CLOCK_OFFSET_NS + (monotonic - OTHER_CLOCK_BASE_NS) * OTHER_CLOCK_PPM / 1e6
//   wall'      = wall + OTHER_CLOCK_WALL_NS
// Only what a Python worker uses: reading both clocks, and sleeping until an instant of the monotonic one.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

#define BILLION 1000000000LL

static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_nanosleep)(clockid_t, int, const struct timespec *, struct timespec *);
static long long base_ns, offset_ns, wall_ns, ppm;

static long long number(const char *name) {
    const char *text = getenv(name);
    return text ? atoll(text) : 0;
}

__attribute__((constructor)) static void begin(void) {
    real_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    real_nanosleep = dlsym(RTLD_NEXT, "clock_nanosleep");
    base_ns = number("OTHER_CLOCK_BASE_NS");
    offset_ns = number("OTHER_CLOCK_OFFSET_NS");
    wall_ns = number("OTHER_CLOCK_WALL_NS");
    ppm = number("OTHER_CLOCK_PPM");
}

static void set(struct timespec *time, long long ns) {
    time->tv_sec = ns / BILLION;
    time->tv_nsec = ns % BILLION;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    if (!real_gettime) begin();
    int status = real_gettime(clock, time);
    if (status) return status;
    long long ns = time->tv_sec * BILLION + time->tv_nsec;
    if (clock == CLOCK_MONOTONIC) set(time, ns + offset_ns + (ns - base_ns) * ppm / 1000000);
    if (clock == CLOCK_REALTIME) set(time, ns + wall_ns);
    return 0;
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *rest) {
    if (!real_nanosleep) begin();
    struct timespec until = *request;
    if (clock == CLOCK_MONOTONIC && flags == TIMER_ABSTIME) {
        long double ns = request->tv_sec * (long double)BILLION + request->tv_nsec;
        set(&until, base_ns + (long long)((ns - offset_ns - base_ns) / (1 + ppm / 1e6L)));
    }
    return real_nanosleep(clock, flags, &until, rest);
}
