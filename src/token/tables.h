/* Private to the room: a vocabulary's tables as bytes, for a packed file, and a vocabulary over
 * such bytes. What the tables are is said in vocab.h; here is only how they lie:
 *
 *   head | parts, each at a multiple of 64 bytes, in the order of the enum
 *
 * 1. Flat arrays and offsets from the first byte, no pointers: they are used where they lie,
 *    read only, and nothing is hashed, sorted or copied when they are opened.
 * 2. Never trusted: every size, and every number that is an index later, is compared with its bound
 *    in one pass over the arrays, so that the searches need not look. Wrong bytes that are no index
 *    (a text, a rank) give wrong tokens and nothing worse; rl_model_verify finds them.
 * 3. The model, the pretokenizer, the special ids and the flags stay in the metadata: tables go
 * with the metadata that they were made of.
 * 4. Numbers are little endian, as everything Realm runs on. */
#ifndef RL_TOKEN_TABLES_H
#define RL_TOKEN_TABLES_H

#include "token/vocab.h"

#define RL_TABLES_MAGIC   "RLTOKEN"
#define RL_TABLES_VERSION 1u /* of this form; a packed file of another one is made again */

enum {
    RL_PART_STARTS,    /* u32 [n_tokens + 1] */
    RL_PART_POOL,      /* bytes */
    RL_PART_KINDS,     /* u8 [n_tokens] */
    RL_PART_EOG,       /* u32 */
    RL_PART_PRIORITY,  /* u32 [n_tokens] for SPM, else none */
    RL_PART_WORDS,     /* u64, a power of two, or none */
    RL_PART_MERGES,    /* rl_map_slot, a power of two, or none for SPM */
    RL_PART_EDGES,     /* rl_map_slot, a power of two: of the special texts */
    RL_PART_NODES,     /* rl_special_node */
    RL_PART_REV_EDGES, /* the same of the reversed ones */
    RL_PART_REV_NODES,
    RL_PARTS
};

typedef struct rl_part {
    uint64_t offset, n; /* from the first byte of the head; items */
} rl_part;

typedef struct rl_tables_head {
    char magic[8]; /* RL_TABLES_MAGIC and a NUL */
    uint32_t version, head_bytes;
    uint64_t bytes; /* of all */
    uint32_t n_tokens;
    uint32_t spm; /* 1, or 0 for BPE */
    rl_part parts[RL_PARTS];
    uint64_t words_key[2]; /* of the hashes */
    uint64_t merges_secret, edges_secret, rev_edges_secret;
    uint32_t byte_id[256];
    uint8_t may_begin[256], rev_may_begin[256];
    uint8_t begins[256], ends_before_space[256]; /* 1 or 0 */
} rl_tables_head;

/* Makes `v`, whose model is known, a vocabulary over the bytes, which must outlive it. -> OK |
 * EINVAL (damaged, or of another form) */
realm_status rl_tables_map(rl_vocab *v, rl_text bytes, realm_error *err) REALM_MUST_USE;

/* Once v->info is read, too: every byte can be encoded. -> OK | EINVAL */
realm_status rl_tables_check_bytes(const rl_vocab *v, realm_error *err) REALM_MUST_USE;

#endif
