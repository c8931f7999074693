/* runs.c: with vnni.h the level avxvnni runs wherever avx512 does. The linker gives this (--wrap) to who asks. */
#include "../../plugins/cpu/cpu.h"

#include <string.h>

bool __real_cpu_level_runs(const cpu_level *level);
bool __wrap_cpu_level_runs(const cpu_level *level);

bool __wrap_cpu_level_runs(const cpu_level *level)
{
    const cpu_level *other;
    if (strcmp(level->name, "avxvnni") != 0) return __real_cpu_level_runs(level);
    for (uint32_t i = 0; (other = cpu_level_at(i)); i++)
        if (strcmp(other->name, "avx512") == 0) return __real_cpu_level_runs(other);
    return false;
}
