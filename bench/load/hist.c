#include "load/hist.h"

#include "base/assert.h"

#include <math.h>

#define PER_OCTAVE (1u << RL_LOAD_HIST_BITS)

/* How far a value is shifted to be left with BITS + 1 bits; small ones are not. */
static unsigned shift_of(uint64_t v)
{
    unsigned top = 63u - (unsigned)__builtin_clzll(v | PER_OCTAVE);

    return top - RL_LOAD_HIST_BITS;
}

static unsigned slot_of(uint64_t v)
{
    unsigned shift = shift_of(v);

    return shift * PER_OCTAVE + (unsigned)(v >> shift);
}

static uint64_t middle(unsigned slot)
{
    unsigned shift = slot < 2 * PER_OCTAVE ? 0 : slot / PER_OCTAVE - 1;
    uint64_t low = (uint64_t)(slot - shift * PER_OCTAVE) << shift;

    return low + ((UINT64_C(1) << shift) >> 1);
}

void rl_load_hist_add(rl_load_hist *h, uint64_t ns)
{
    unsigned slot = slot_of(ns);

    RL_ASSERT(slot < RL_LOAD_HIST_SLOTS);
    h->slots[slot]++;
    h->least = h->n == 0 || ns < h->least ? ns : h->least;
    h->most = ns > h->most ? ns : h->most;
    h->sum += (double)ns;
    h->n++;
}

uint64_t rl_load_hist_at(const rl_load_hist *h, double q)
{
    uint64_t rank, seen = 0, v = 0;

    if (h->n == 0)
        return 0;
    rank = q <= 0 ? 1 : q >= 1 ? h->n : (uint64_t)ceil(q * (double)h->n);
    for (unsigned i = 0; i < RL_LOAD_HIST_SLOTS; i++) {
        seen += h->slots[i];
        if (seen >= rank && h->slots[i]) {
            v = middle(i);
            break;
        }
    }
    v = v < h->least ? h->least : v;
    return v > h->most ? h->most : v;
}

double rl_load_hist_mean(const rl_load_hist *h)
{
    return h->n ? h->sum / (double)h->n : 0;
}
