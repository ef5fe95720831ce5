/* Call: one host call of a guest, as the function behind a row of the ABI table sees it.
 *
 * A row (abi.def, abi_wasi.def) is implemented by `int64_t rl_abi_<module>_<name><variant>(rl_call
 * *c)`. The trampolines (call.c) check the capability, decode the arguments by the row's letters
 * and check every slice before the function runs; what it answers becomes the guest's result.
 *
 * 1. It runs on the run's worker, at first on the guest's fiber (512 KiB of stack for C): argument
 *    checks, look-ups and copies only. JSON, templates, files, long encodes go to a helper (op.h).
 * 2. PARK rows may answer rl_call_park(...): the guest sleeps; `resume` is then called on the
 * worker's own stack each time the run is woken (rl_run_wake), until it answers something else than
 *    RL_PARKED. Guest memory can neither move nor grow meanwhile: pointers into it stay good.
 * 3. When a parked run ends (cancel, deadline, limit) `abandon` is called instead, once; it frees
 *    `state` or leaves it to an op that is still running.
 * 4. A function that fails writes nothing to guest memory and answers rl_call_fail(...).
 * 5. Worker thread only, but for rl_run_wake. */
#ifndef RL_GUEST_CALL_H
#define RL_GUEST_CALL_H

#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rl_run;
typedef struct rl_call rl_call;
typedef int64_t (*rl_abi_fn)(rl_call *c);

#define RL_PARKED INT64_MIN       /* not now: resume will be asked */
#define RL_ENDED  (INT64_MIN + 1) /* the run is over (rl_run_end): the guest gets no answer */

#define RL_ARGS_MAX 12u /* letters of a row */

typedef enum rl_row_mode { RL_MODE_NOW, RL_MODE_PARK } rl_row_mode;

/* One row of the table; the letters are explained in abi.def. */
typedef struct rl_row {
    const char *module, *name;
    const char *args;
    char result;    /* 'i' 'l' '-' */
    uint8_t mode;   /* rl_row_mode */
    uint32_t caps;  /* RL_CAP_ bits that the call needs */
    uint64_t limit; /* most bytes of each input pair */
    rl_abi_fn fn;
    const char *sentence;
} rl_row;

extern const rl_row rl_rows[];
extern const uint32_t rl_n_rows;

/* One decoded argument, one per letter. */
typedef struct rl_arg {
    uint64_t u;        /* h u l p o: the value; i: its 32 bits; pairs: the guest address */
    int64_t i;         /* i l: the value, sign extended */
    float f;           /* f */
    uint64_t n;        /* pairs: bytes (B T b) or elements (I F v g) */
    const uint8_t *in; /* B T I F: the bytes, inside guest memory, perhaps unaligned; never NULL */
} rl_arg;

struct rl_call {
    struct rl_run *run;
    const rl_row *row;
    uint8_t *mem; /* the guest's memory, [mem_size]; good until the call is over */
    uint64_t mem_size;
    bool wide; /* the guest is memory64: records hold 8-byte pointers */
    rl_arg arg[RL_ARGS_MAX];

    /* Of a parked call. */
    bool parked;
    int64_t (*resume)(rl_call *c);
    void (*abandon)(rl_call *c); /* NULL: nothing to free */
    void *state;                 /* the row's own */
    uint64_t wake_ns;            /* resume is asked then (rl_clock_ns) if not before; 0: no timer */
    int64_t result;              /* once it is no longer parked */
};

/* Fails the call: keeps the sentence for error_text and answers st (< 0). */
int64_t rl_call_fail(rl_call *c, realm_status st, const char *fmt, ...) REALM_PRINTF(3, 4);
/* The same with an error that another room wrote. */
int64_t rl_call_fail_err(rl_call *c, const realm_error *err);

/* The bytes [addr, addr + bytes) of guest memory, or NULL when they are not all inside it. */
uint8_t *rl_call_at(const rl_call *c, uint64_t addr, uint64_t bytes);

/* Writes n elements (bytes for b) to the output pair arg[k]. -> n | ESPACE, nothing written */
int64_t rl_call_put(rl_call *c, uint32_t k, const void *data, uint64_t n);

/* Suspends the guest; only from PARK rows. Answers RL_PARKED. A wake that came before is not lost.
 * timeout_ns: rl_clock_ns() time at which resume is asked in any case; 0: none. */
int64_t rl_call_park(rl_call *c, int64_t (*resume)(rl_call *c), void (*abandon)(rl_call *c),
                     void *state, uint64_t timeout_ns);

/* Ends the run in the middle of a call: the guest never returns. Both answer RL_ENDED. */
int64_t rl_call_end(rl_call *c, realm_status st, const char *fmt, ...) REALM_PRINTF(3, 4);
int64_t rl_call_exit(rl_call *c, int32_t code); /* proc_exit: rl_run_exit */

#endif
