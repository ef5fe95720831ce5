/* Private to the room: the metadata that loading reads. It is the source's, less the long arrays of
 * the tokenizer, which are of no use once its tables are made: what is left is a few kilobytes,
 * read and checked in no time, where the whole takes longer than anything else of loading. */
#ifndef RL_MODEL_METADATA_H
#define RL_MODEL_METADATA_H

#include "base/buf.h"
#include "gguf/gguf.h"

/* Appends it to `out`, a GGUF file's metadata of its own. -> OK | ENOMEM */
realm_status rl_metadata_short(const rl_gguf *g, rl_buf *out, realm_error *err) REALM_MUST_USE;

#endif
