/* What this CPU and its kernel offer: cpuid for the features, XCR0 for the registers that the
 * operating system saves. */
#include "kernels/kernels.h"

#include "base/assert.h"

#include <cpuid.h>
#include <pthread.h>
#include <string.h>

#define XCR0_AVX    0x06u /* xmm, ymm */
#define XCR0_AVX512 0xe6u /* and opmask, zmm */

static uint32_t read_xcr0(void)
{
    uint32_t lo, hi;

    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return lo;
}

static bool all(uint32_t reg, uint32_t wanted)
{
    return (reg & wanted) == wanted;
}

rl_level rl_level_of_cpu(void)
{
    const uint32_t avx512_b = bit_AVX512F | bit_AVX512BW | bit_AVX512VL | bit_AVX512DQ;
    const uint32_t avx512_c = bit_AVX512VNNI | bit_AVX512VBMI;
    uint32_t a, b, c, d, xcr0;

    if (!__get_cpuid(1, &a, &b, &c, &d) || !all(c, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C))
        return RL_LEVEL_REF;
    xcr0 = read_xcr0();
    if (!all(xcr0, XCR0_AVX) || !__get_cpuid_count(7, 0, &a, &b, &c, &d) || !all(b, bit_AVX2))
        return RL_LEVEL_REF;
    if (all(xcr0, XCR0_AVX512) && all(b, avx512_b) && all(c, avx512_c))
        return RL_LEVEL_AVX512;
    return RL_LEVEL_AVX2;
}

const char *rl_level_name(rl_level level)
{
    static const char *const names[RL_LEVELS] = { "ref", "avx2", "avx512" };

    RL_ASSERT(level < RL_LEVELS);
    return names[level];
}

static char cpu_name[49];
static pthread_once_t name_once = PTHREAD_ONCE_INIT;

static void read_name(void)
{
    uint32_t r[12] = { 0 };
    size_t n;

    for (uint32_t i = 0; i < 3; i++)
        if (!__get_cpuid(0x80000002u + i, &r[4 * i], &r[4 * i + 1], &r[4 * i + 2], &r[4 * i + 3]))
            memcpy(r, "unknown", 8);
    memcpy(cpu_name, r, 48);
    for (n = strlen(cpu_name); n && cpu_name[n - 1] == ' '; n--)
        cpu_name[n - 1] = '\0';
}

const char *rl_cpu_name(void)
{
    (void)pthread_once(&name_once, read_name);
    return cpu_name;
}
