/* Dump: a jansson value as compact JSON text on a buf. */
#ifndef RL_BASE_DUMP_H
#define RL_BASE_DUMP_H

#include "base/buf.h"

#include <jansson.h>

/* Appends; nothing is written twice. v NULL is a value there was no memory for.
 * -> OK | ENOMEM (or over the buf's cap), which shows in out->failed too */
realm_status rl_dump(rl_buf *out, const json_t *v);

#endif
