/* GGUF: a checked, read-only view of a model file, versions 2 and 3, little endian.
 *
 * 1. The file is never trusted: every count, size, offset, type, string and alignment is checked
 *    against the bytes there are before it is used; a hostile file is REALM_EINVAL whose text names
 *    the byte offset and the reason. Getters never abort.
 * 2. Keys and strings point into the caller's memory or, for a file, into one copy of its metadata,
 *    and live as long as the rl_gguf. Strings are not NUL-terminated. A file's tensors stay on
 * disk.
 * 3. Immutable after opening and attaching: any thread may read. Knows nothing of architectures. */
#ifndef RL_GGUF_GGUF_H
#define RL_GGUF_GGUF_H

#include "base/fs.h"
#include "kernels/quant.h"
#include "realm/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct rl_gguf rl_gguf;

typedef struct rl_text { /* borrowed bytes */
    const char *p;
    size_t n;
} rl_text;

/* Value types of the format. */
typedef enum rl_gguf_kind {
    RL_GGUF_U8 = 0,
    RL_GGUF_I8 = 1,
    RL_GGUF_U16 = 2,
    RL_GGUF_I16 = 3,
    RL_GGUF_U32 = 4,
    RL_GGUF_I32 = 5,
    RL_GGUF_F32 = 6,
    RL_GGUF_BOOL = 7,
    RL_GGUF_STRING = 8,
    RL_GGUF_ARRAY = 9,
    RL_GGUF_U64 = 10,
    RL_GGUF_I64 = 11,
    RL_GGUF_F64 = 12,
    RL_GGUF_KINDS = 13
} rl_gguf_kind;

typedef struct rl_gguf_kv {
    rl_text key;
    rl_gguf_kind kind;    /* of the value; RL_GGUF_ARRAY for arrays */
    rl_gguf_kind item;    /* kind of the items of an array, else == kind */
    uint64_t n;           /* items of an array, else 1 */
    const uint8_t *value; /* the encoded bytes: scalar, string (u64 length + bytes) or items */
    size_t bytes;         /* length of `value` */
} rl_gguf_kv;

typedef struct rl_gguf_tensor {
    rl_text name;
    rl_type type;
    uint32_t n_dims;  /* 1..4 */
    uint64_t dims[4]; /* dims[0] is the row length (columns); unused ones are 1 */
    uint64_t offset;  /* from the start of the data section */
    uint64_t bytes;
    const uint8_t *data; /* in the caller's memory; NULL for a file or the metadata alone */
} rl_gguf_tensor;

/* Reads and checks a file's metadata and keeps the file open.
 * -> OK | EINVAL (not a good GGUF) | ENOTFOUND | ECONFLICT (it was cut meanwhile) | EIO | ENOMEM */
realm_status rl_gguf_open(rl_gguf **out, const char *path, realm_error *err) REALM_MUST_USE;

/* Checks bytes that the caller keeps alive and unchanged. With `metadata_only` the data section may
 * be missing: tensors have data NULL (a packed model carries its source's metadata verbatim). */
realm_status rl_gguf_open_memory(rl_gguf **out, const void *bytes, size_t n, bool metadata_only,
                                 realm_error *err) REALM_MUST_USE;
void rl_gguf_close(rl_gguf *g); /* NULL is fine */

/* Copies bytes [offset, offset + n) of the file, or of the caller's memory.
 * -> OK | ECONFLICT (the file is shorter than when it was opened) | EINVAL (out of range) | EIO */
realm_status rl_gguf_read(const rl_gguf *g, uint64_t offset, void *out, size_t n,
                          realm_error *err) REALM_MUST_USE;

/* The file as it was when it was opened; NULL for the caller's memory. */
const rl_file_id *rl_gguf_file_id(const rl_gguf *g);

/* ECONFLICT when the file is not what it was when it was opened. */
realm_status rl_gguf_check_unchanged(const rl_gguf *g, realm_error *err) REALM_MUST_USE;

/* What others made of the metadata and keep beside it, as a packed file does. The view only carries
 * it: borrowed, alive as long as the view. None: n 0. */
void rl_gguf_attach(rl_gguf *g, const void *p, size_t n);
rl_text rl_gguf_attached(const rl_gguf *g);

uint32_t rl_gguf_version(const rl_gguf *g);
uint64_t rl_gguf_file_bytes(const rl_gguf *g);
size_t rl_gguf_metadata_bytes(const rl_gguf *g); /* header, pairs and tensor infos: [0, this) */
const uint8_t *rl_gguf_bytes(const rl_gguf *g);  /* the file's metadata, from its first byte */
uint64_t rl_gguf_data_offset(const rl_gguf *g);  /* of the data section in the file */

uint32_t rl_gguf_n_kv(const rl_gguf *g);
const rl_gguf_kv *rl_gguf_kv_at(const rl_gguf *g, uint32_t i);
const rl_gguf_kv *rl_gguf_find(const rl_gguf *g, const char *key); /* hashed; NULL: none */
uint32_t rl_gguf_n_tensors(const rl_gguf *g);
const rl_gguf_tensor *rl_gguf_tensor_at(const rl_gguf *g, uint32_t i);
const rl_gguf_tensor *rl_gguf_tensor_find(const rl_gguf *g, const char *name); /* hashed; NULL */

/* Typed getters: OK | ENOTFOUND (no such key) | EINVAL (another kind, or out of range). Any integer
 * kind serves an integer getter when the value fits. err is filled for EINVAL and ENOTFOUND. */
realm_status rl_gguf_u32(const rl_gguf *g, const char *key, uint32_t *out, realm_error *err);
realm_status rl_gguf_f32(const rl_gguf *g, const char *key, float *out, realm_error *err);
realm_status rl_gguf_bool(const rl_gguf *g, const char *key, bool *out, realm_error *err);
realm_status rl_gguf_text(const rl_gguf *g, const char *key, rl_text *out, realm_error *err);

/* Scalar `kv`, or item i < kv->n of an array of numbers, as a double (exact below 2^53). */
double rl_gguf_number(const rl_gguf_kv *kv, uint64_t i);

/* Walks an array of strings: `at` starts as kv->value; each call gives the next string and moves
 * `at`. Calling it kv->n times is safe: the array was checked at opening. */
rl_text rl_gguf_next_text(const uint8_t **at);

const char *rl_gguf_kind_name(rl_gguf_kind kind); /* "u32" "string" ... */

#endif
