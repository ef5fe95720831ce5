/* Op: a piece of work of a run on another thread: a helper (work) or an engine job. It belongs to
 * the call that waits for it and to the thread that does it; both hold a reference, and the op
 * holds one to its run, so it may end after the run did. Put rl_op first in a struct of your own.
 */
#ifndef RL_GUEST_OP_H
#define RL_GUEST_OP_H

#include "guest/call.h"

#include <stdatomic.h>

typedef struct rl_op rl_op;
struct rl_op {
    struct rl_run *run; /* reference */
    _Atomic uint32_t refs;
    atomic_bool finished;        /* status and err and the op's results may be read */
    void (*work)(rl_op *op);     /* helper thread, 8 MiB stack; writes status and err */
    void (*destroy)(rl_op *op);  /* frees what the op holds, not the op; any thread; may be NULL */
    void (*cancel)(rl_op *op);   /* nobody wants it any more; any thread; may be NULL */
    int64_t (*then)(rl_call *c); /* of the waiting call */
    realm_status status;
    realm_error err;
};

/* bytes: of the whole struct. One reference, the caller's. NULL without memory. */
void *rl_op_new(struct rl_run *run, size_t bytes, void (*work)(rl_op *op),
                void (*destroy)(rl_op *op));
void rl_op_unref(rl_op *op); /* NULL is fine; any thread */
/* Hands it to a helper thread. -> OK | EBUSY (their queue is full) */
realm_status rl_op_post(rl_op *op, realm_error *err) REALM_MUST_USE;
/* Takes a reference for the engine / gives it back and wakes the run. */
void rl_op_begin(rl_op *op);
void rl_op_finish(rl_op *op);

/* Parks until the op is finished; then `then` gives the answer, with the op in c->state: it looks
 * at op->status first. It may park the call again on something else. Takes the caller's reference.
 */
int64_t rl_op_park(rl_call *c, rl_op *op, int64_t (*then)(rl_call *c));
/* Posts to a helper and parks. op NULL (no memory) is a failed call. */
int64_t rl_op_wait(rl_call *c, rl_op *op, int64_t (*then)(rl_call *c));

#endif
