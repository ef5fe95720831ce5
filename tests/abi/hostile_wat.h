/* Writes the guest that calls one row of the ABI with hostile arguments, for one pointer width.
 *
 * The guest fills its memory with a pattern, calls the row once per case with one bad argument and
 * the rest good, keeps each result, and after each call compares a checksum of all memory but its
 * own notes: nothing may have been written. At last it emits its notes:
 *
 *     [0, 2048)     i32 result of each case
 *     [2048, 4096)  i32 1 for each case after which memory was not as before */
#ifndef ABI_HOSTILE_WAT_H
#define ABI_HOSTILE_WAT_H

#include "base/buf.h"

#include <stdint.h>

#define HOSTILE_MAX_CASES 512u
#define HOSTILE_NOTES     4096u

typedef enum hostile_kind {
    HOSTILE_POINTER, /* EINVAL, ETOOBIG or EUNSUPPORTED; in WASI EFAULT or EINVAL */
    HOSTILE_HANDLE,  /* ENOTFOUND */
    HOSTILE_MODEL,   /* any error */
    HOSTILE_FD,      /* EBADF */
} hostile_kind;

typedef struct hostile_case {
    hostile_kind kind;
    uint32_t arg;      /* which letter of the row */
    uint64_t ptr, len; /* what it was given */
} hostile_case;

typedef struct hostile_row {
    const char *module, *name, *args; /* args: letters of abi.def, or the shape of abi_wasi.def */
    char result;
    bool wasi;
} hostile_row;

extern const hostile_row hostile_rows[];
extern const size_t hostile_n_rows;

/* The cases of a row. -> their number */
size_t hostile_cases(const hostile_row *row, bool wide, hostile_case cases[HOSTILE_MAX_CASES]);

/* The module; n_cases 0 gives the same guest without hostile calls. n_embd: of the run's model. */
void hostile_wat(rl_buf *out, const hostile_row *row, bool wide, const hostile_case *cases,
                 size_t n_cases, uint32_t n_embd);

#endif
