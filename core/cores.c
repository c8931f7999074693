/*
 * cores.c: how many cores this process may keep busy. The affinity mask says which it may run on; a control group may
 * allow fewer by a quota of CPU time per period (https://docs.kernel.org/admin-guide/cgroup-v2.html, cpu.max; version
 * 1: cpu.cfs_quota_us and cpu.cfs_period_us). A part of a core counts as one.
 */
#include "cores.h"

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first line of a file, without its newline; false when there is none. */
static bool first_line(const char *path, char *line, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f) return false;
    bool ok = fgets(line, (int)size, f) != NULL;
    fclose(f);
    if (ok) line[strcspn(line, "\n")] = 0;
    return ok;
}

static int64_t ceil_cores(double quota, double period, int64_t most)
{
    if (!(quota > 0) || !(period > 0) || quota / period >= (double)most) return most;
    int64_t whole = (int64_t)(quota / period);
    return whole + ((double)whole * period < quota);
}

/* What the group in folder `dir` allows, at most `most`. */
static int64_t group_cores(const char *dir, bool v2, int64_t most)
{
    char path[4200], line[128], period[128];
    snprintf(path, sizeof path, "%s/%s", dir, v2 ? "cpu.max" : "cpu.cfs_quota_us");
    if (!first_line(path, line, sizeof line)) return most;
    char *end;
    double quota = strtod(line, &end); /* "max" and -1 mean no limit */
    if (v2) return ceil_cores(quota, strtod(end, NULL), most);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    return first_line(path, period, sizeof period) ? ceil_cores(quota, strtod(period, NULL), most) : most;
}

/* Every group from `path` up to the root limits what is below it. */
static int64_t walk_up(const char *mount, char *path, bool v2, int64_t most)
{
    for (;;) {
        char dir[4096];
        if (snprintf(dir, sizeof dir, "%s%s", mount, path) < (int)sizeof dir) most = group_cores(dir, v2, most);
        char *slash = strrchr(path, '/');
        if (!slash || !*path) return most;
        *slash = 0;
    }
}

/* Lines of /proc/self/cgroup: "0::/path" (version 2) or "4:cpu,cpuacct:/path" (version 1). */
static int64_t quota_cores(int64_t most)
{
    FILE *f = fopen("/proc/self/cgroup", "re");
    if (!f) return most;
    char line[4096];
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        char *names = strchr(line, ':');
        char *path = names ? strchr(names + 1, ':') : NULL;
        if (!path) continue;
        *names++ = 0;
        *path++ = 0;
        char list[256];
        snprintf(list, sizeof list, ",%s,", names);
        if (!*names)
            most = walk_up("/sys/fs/cgroup", path, true, most);
        else if (strstr(list, ",cpu,"))
            most = walk_up("/sys/fs/cgroup/cpu", path, false, most);
    }
    fclose(f);
    return most;
}

int64_t jvc_cores(void)
{
    cpu_set_t set;
    int64_t n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    if (n > JVC_MAX_CORES) n = JVC_MAX_CORES;
    if (n < 1) n = 1;
    return quota_cores(n);
}
