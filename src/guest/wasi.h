/* WASI preview 1 over a run: stdin is the request, stdout the reply, stderr the log, and nothing
 * else is open. abi_wasi.c holds the checks and the dispatch, wasi_fd.c the three descriptors,
 * wasi_env.c arguments, clocks and the like, wasi_poll.c waiting.
 *
 * 1. Every function answers an errno >= 0; trampolines pass it on unchanged.
 * 2. The row's shape was checked before a function runs: its pointers and lengths lie in memory, so
 *    the functions below need no checks but those for `p` and for meaning.
 * 3. Preview 1 is 32-bit and little endian; pointers may be unaligned.
 * 4. Worker thread only. */
#ifndef RL_GUEST_WASI_H
#define RL_GUEST_WASI_H

#include "guest/call.h"

#include <string.h>

/* The numbers of preview 1's errno that are answered here. */
enum {
    RL_WASI_OK = 0,
    RL_WASI_AGAIN = 6,
    RL_WASI_BADF = 8,
    RL_WASI_FAULT = 21,
    RL_WASI_INVAL = 28,
    RL_WASI_IO = 29,
    RL_WASI_NOMEM = 48,
    RL_WASI_NOSYS = 52,
    RL_WASI_SPIPE = 70,
    RL_WASI_NOTCAPABLE = 76,
};

#define RL_WASI_IOVS   1024u /* most parts of one read or write, most subscriptions of one poll */
#define RL_WASI_STDIN  0u
#define RL_WASI_STDOUT 1u
#define RL_WASI_STDERR 2u

static inline uint16_t rl_wasi_get16(const uint8_t *p)
{
    uint16_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint32_t rl_wasi_get32(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

static inline uint64_t rl_wasi_get64(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof v);
    return v;
}

/* Results go where a checked argument points. */
static inline void rl_wasi_put32(const rl_call *c, uint32_t arg, uint32_t v)
{
    memcpy(c->mem + c->arg[arg].u, &v, sizeof v);
}

static inline void rl_wasi_put64(const rl_call *c, uint32_t arg, uint64_t v)
{
    memcpy(c->mem + c->arg[arg].u, &v, sizeof v);
}

/* Is `fd` one of the three, and not closed? */
bool rl_wasi_is_open(const rl_call *c, uint64_t fd);

/* Nanoseconds of the guest's clocks, whole milliseconds: since 1970, since the run began. */
uint64_t rl_wasi_realtime_ns(void);
uint64_t rl_wasi_monotonic_ns(const rl_call *c);

/* The functions behind the rows, called by abi_wasi.c once the row's shape is checked. */
#define WASI(name, args, shape, result, mode, sentence) int64_t rl_wasi_##name(rl_call *c);
#include "guest/abi_wasi.def"

#endif
