/* The door of WASI preview 1: checks each call by its row's shape, then runs its function (wasi.h).
 * A bad pointer is EFAULT before anything else is looked at, so that nothing can be written. */
#include "guest/wasi.h"

#include "guest/abi.h"

/* A ciovec or iovec array: the array itself and every part. */
static int64_t check_iovs(const rl_call *c, uint64_t at, uint64_t count)
{
    const uint8_t *iovs;

    /* First: the product below is then small. */
    if (count > RL_WASI_IOVS)
        return RL_WASI_INVAL;
    iovs = rl_call_at(c, at, count * 8);
    if (iovs == NULL)
        return RL_WASI_FAULT;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *iov = iovs + i * 8;

        if (rl_call_at(c, rl_wasi_get32(iov), rl_wasi_get32(iov + 4)) == NULL)
            return RL_WASI_FAULT;
    }
    return RL_WASI_OK;
}

static uint64_t result_bytes(char letter)
{
    switch (letter) {
    case '2':
        return 2;
    case '4':
        return 4;
    case '8':
        return 8;
    case 's':
        return 24;
    case 'S':
        return 64;
    default:
        return 0; /* a number, or a pointer the function checks */
    }
}

static int64_t check_shape(const rl_call *c, const char *shape)
{
    uint32_t arg = 0;

    /* A letter for each argument, but a pair has one for both. */
    for (const char *letter = shape; *letter != 0; letter++) {
        bool pair = strchr("BbrR", *letter) != NULL;
        uint64_t n = pair ? c->arg[arg + 1].u : result_bytes(*letter);
        int64_t e = RL_WASI_OK;

        if (*letter == 'r' || *letter == 'R')
            e = check_iovs(c, c->arg[arg].u, n);
        else if ((pair || n > 0) && rl_call_at(c, c->arg[arg].u, n) == NULL)
            e = RL_WASI_FAULT;
        if (e != RL_WASI_OK)
            return e;
        arg += pair ? 2 : 1;
    }
    return RL_WASI_OK;
}

#define WASI(name, args, shape, result, mode, sentence)                                            \
    int64_t rl_abi_wasi_snapshot_preview1_##name(rl_call *c)                                       \
    {                                                                                              \
        int64_t e = check_shape(c, shape);                                                         \
                                                                                                   \
        return e == RL_WASI_OK ? rl_wasi_##name(c) : e;                                            \
    }
#include "guest/abi_wasi.def"
