/* Reading and checking a GGUF file: header, key-value pairs, tensor infos.
 *
 * 1. `at` passes neither `loaded` nor the limit of metadata; a length read from the file is
 *    compared with what is left before it is used, in 64 bits.
 * 2. Memory is taken in proportion to the file: a count is believed only when that many of the
 *    smallest possible records still fit.
 * 3. A name is quoted in an error only after its characters were checked. */
#include "gguf/parse.h"

#include "base/alloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MIN_KV_BYTES     14u    /* key length 8, key 1, kind 4, value 1 */
#define MIN_TENSOR_BYTES 33u    /* name length 8, name 1, dims 4 + 8, type 4, offset 8 */
#define MAX_KEY_BYTES    65535u /* the format's limits */
#define MAX_NAME_BYTES   64u
#define MAX_RECORDS      ((uint64_t)1 << 24) /* so that numbers fit 32 bits many times over */
#define MAX_ALIGNMENT    65536u
#define DEFAULT_ALIGN    32u

typedef struct cursor {
    rl_gguf *g;
    size_t at;
    realm_error *err;
} cursor;

/* A shown name is cut, so that the reason always fits the error's text. */
#define SHOWN(t) (int)((t).n < 60 ? (t).n : 60), (t).p

REALM_PRINTF(3, 4)
static realm_status bad(const cursor *c, size_t at, const char *fmt, ...)
{
    char why[200];
    va_list args;

    va_start(args, fmt);
    /* the analyser loses va_start when it inlines this: NOLINTNEXTLINE(clang-analyzer-valist*) */
    (void)vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return realm_fail(c->err, REALM_EINVAL, "not a good GGUF file: byte %zu: %s", at, why);
}

static size_t left(const cursor *c)
{
    return c->g->n - c->at;
}

static realm_status need(const cursor *c, uint64_t bytes, const char *what)
{
    if (bytes > left(c))
        return bad(c, c->at, "%s needs %llu bytes and the file has %zu more; is it cut off?", what,
                   (unsigned long long)bytes, left(c));
    if (bytes > RL_GGUF_METADATA_MAX - c->at)
        return bad(c, c->at, "with %s the metadata is over %zu MiB, the limit", what,
                   RL_GGUF_METADATA_MAX >> 20);
    if (bytes <= c->g->loaded - c->at)
        return REALM_OK;
    c->g->wanted = c->at + (size_t)bytes;
    return RL_GGUF_MORE;
}

static realm_status take_u32(cursor *c, const char *what, uint32_t *out)
{
    realm_status st = need(c, 4, what);

    if (st == REALM_OK) {
        *out = rl_gguf_le32(c->g->base + c->at);
        c->at += 4;
    }
    return st;
}

static realm_status take_u64(cursor *c, const char *what, uint64_t *out)
{
    realm_status st = need(c, 8, what);

    if (st == REALM_OK) {
        *out = rl_gguf_le64(c->g->base + c->at);
        c->at += 8;
    }
    return st;
}

static realm_status take_text(cursor *c, const char *what, uint64_t max, rl_text *out)
{
    size_t at = c->at;
    uint64_t n = 0;
    realm_status st = take_u64(c, what, &n);

    if (st != REALM_OK)
        return st;
    if (n > max)
        return bad(c, at, "%s of %llu bytes, the limit is %llu", what, (unsigned long long)n,
                   (unsigned long long)max);
    st = need(c, n, what);
    if (st != REALM_OK)
        return st;
    *out = (rl_text){ (const char *)c->g->base + c->at, (size_t)n };
    c->at += (size_t)n;
    return REALM_OK;
}

/* Keys and tensor names: visible ASCII, at least one character. */
static realm_status take_name(cursor *c, const char *what, uint64_t max, rl_text *out)
{
    size_t at = c->at;
    realm_status st = take_text(c, what, max, out);

    if (st != REALM_OK)
        return st;
    if (out->n == 0)
        return bad(c, at, "empty %s", what);
    for (size_t i = 0; i < out->n; i++) {
        if (out->p[i] <= 0x20 || out->p[i] >= 0x7f)
            return bad(c, at + 8 + i, "%s holds the byte 0x%02x", what, (uint8_t)out->p[i]);
    }
    return REALM_OK;
}

static realm_status check_bools(const cursor *c, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        if (c->g->base[c->at + i] > 1)
            return bad(c, c->at + (size_t)i, "a bool that is %u", c->g->base[c->at + i]);
    }
    return REALM_OK;
}

/* Walks n values of one kind that is no array; their bytes end up in [start, c->at). */
static realm_status skip_values(cursor *c, rl_gguf_kind kind, uint64_t n)
{
    size_t each = kind == RL_GGUF_STRING ? 8 : rl_gguf_kind_bytes(kind);
    realm_status st;
    rl_text text;

    if (n > left(c) / each)
        return bad(c, c->at, "%llu values of %s do not fit the %zu bytes left",
                   (unsigned long long)n, rl_gguf_kind_name(kind), left(c));
    if (kind != RL_GGUF_STRING) {
        st = need(c, n * each, "an array");
        if (st == REALM_OK && kind == RL_GGUF_BOOL)
            st = check_bools(c, n);
        if (st == REALM_OK)
            c->at += (size_t)n * each;
        return st;
    }
    for (uint64_t i = 0; i < n; i++) {
        st = take_text(c, "a string", UINT64_MAX, &text);
        if (st != REALM_OK)
            return st;
    }
    return REALM_OK;
}

static realm_status take_kind(cursor *c, rl_gguf_kind *out)
{
    size_t at = c->at;
    uint32_t kind = 0;
    realm_status st = take_u32(c, "a value's kind", &kind);

    if (st == REALM_OK && kind >= RL_GGUF_KINDS)
        return bad(c, at, "value kind %u is unknown", kind);
    *out = (rl_gguf_kind)kind;
    return st;
}

static realm_status take_kv(cursor *c, rl_gguf_kv *kv)
{
    realm_status st = take_name(c, "key", MAX_KEY_BYTES, &kv->key);
    size_t start;

    if (st == REALM_OK)
        st = take_kind(c, &kv->kind);
    if (st != REALM_OK)
        return st;
    kv->item = kv->kind;
    kv->n = 1;
    if (kv->kind == RL_GGUF_ARRAY) {
        start = c->at;
        st = take_kind(c, &kv->item);
        if (st == REALM_OK && kv->item == RL_GGUF_ARRAY)
            return bad(c, start, "%.*s is an array of arrays, which no model needs",
                       SHOWN(kv->key));
        if (st == REALM_OK)
            st = take_u64(c, "an array's length", &kv->n);
        if (st != REALM_OK)
            return st;
    }
    start = c->at;
    kv->value = c->g->base + start;
    st = skip_values(c, kv->item, kv->n);
    kv->bytes = c->at - start;
    return st;
}

/* A scalar `general.alignment` moves everything after the metadata. */
static realm_status note_alignment(cursor *c, const rl_gguf_kv *kv)
{
    static const char key[] = "general.alignment";
    size_t at = (size_t)(kv->value - c->g->base);
    uint32_t a;

    if (kv->key.n != sizeof key - 1 || memcmp(kv->key.p, key, sizeof key - 1) != 0)
        return REALM_OK;
    if (kv->kind != RL_GGUF_U32)
        return bad(c, at, "%s is of kind %s, not u32", key, rl_gguf_kind_name(kv->kind));
    a = rl_gguf_le32(kv->value);
    if (a < 8 || a > MAX_ALIGNMENT || (a & (a - 1)))
        return bad(c, at, "%s is %u, not a power of two from 8 to %u", key, a, MAX_ALIGNMENT);
    c->g->alignment = a;
    return REALM_OK;
}

static realm_status take_pairs(cursor *c)
{
    rl_gguf *g = c->g;
    realm_status st;

    g->kvs = rl_alloc_array(g->n_kv, sizeof *g->kvs);
    if (!g->kvs || rl_gguf_index_init(&g->keys, &g->kvs->key, sizeof *g->kvs, g->n_kv))
        return realm_fail(c->err, REALM_ENOMEM, "no memory for %u keys", g->n_kv);
    for (uint32_t i = 0; i < g->n_kv; i++) {
        size_t at = c->at;

        st = take_kv(c, &g->kvs[i]);
        if (st == REALM_OK && rl_gguf_index_add(&g->keys, i) != i)
            st = bad(c, at, "the key %.*s comes twice", SHOWN(g->kvs[i].key));
        if (st == REALM_OK)
            st = note_alignment(c, &g->kvs[i]);
        if (st != REALM_OK)
            return st;
    }
    return REALM_OK;
}

/* dims -> t->bytes, every product checked. */
static realm_status measure_tensor(const cursor *c, size_t at, rl_gguf_tensor *t)
{
    const rl_type_traits *type = rl_type_get((uint32_t)t->type);
    uint64_t rows = 1, row_bytes;

    if (!type)
        return bad(c, at, "tensor %.*s has the unknown type %u", SHOWN(t->name), (unsigned)t->type);
    for (uint32_t i = 0; i < 4; i++) {
        if (t->dims[i] == 0)
            return bad(c, at, "tensor %.*s has no elements in dimension %u", SHOWN(t->name), i);
        if (i && t->dims[i] > (uint64_t)INT64_MAX / rows)
            return bad(c, at, "tensor %.*s has more than 2^63 rows", SHOWN(t->name));
        if (i)
            rows *= t->dims[i];
    }
    if (t->dims[0] % type->block)
        return bad(c, at, "tensor %.*s: rows of %llu are no whole blocks of %u (%s)",
                   SHOWN(t->name), (unsigned long long)t->dims[0], type->block, type->name);
    if (t->dims[0] / type->block > (uint64_t)INT64_MAX / type->block_bytes)
        return bad(c, at, "tensor %.*s has rows of over 2^63 bytes", SHOWN(t->name));
    row_bytes = t->dims[0] / type->block * type->block_bytes;
    if (rows > (uint64_t)INT64_MAX / row_bytes || rows > (uint64_t)INT64_MAX / t->dims[0])
        return bad(c, at, "tensor %.*s is larger than 2^63", SHOWN(t->name));
    t->bytes = rows * row_bytes;
    return REALM_OK;
}

static realm_status take_tensor(cursor *c, rl_gguf_tensor *t)
{
    realm_status st = take_name(c, "tensor name", MAX_NAME_BYTES, &t->name);
    size_t at = c->at;
    uint32_t type = 0;

    if (st == REALM_OK)
        st = take_u32(c, "a tensor's number of dimensions", &t->n_dims);
    if (st != REALM_OK)
        return st;
    if (t->n_dims < 1 || t->n_dims > 4)
        return bad(c, at, "tensor %.*s has %u dimensions, not 1 to 4", SHOWN(t->name), t->n_dims);
    for (uint32_t i = 0; i < 4; i++) {
        t->dims[i] = 1;
        st = i < t->n_dims ? take_u64(c, "a tensor's dimension", &t->dims[i]) : REALM_OK;
        if (st != REALM_OK)
            return st;
    }
    at = c->at;
    st = take_u32(c, "a tensor's type", &type);
    t->type = (rl_type)type;
    if (st == REALM_OK)
        st = measure_tensor(c, at, t);
    at = c->at;
    if (st == REALM_OK)
        st = take_u64(c, "a tensor's offset", &t->offset);
    if (st == REALM_OK && t->offset % c->g->alignment)
        st = bad(c, at, "tensor %.*s at offset %llu, no multiple of the alignment %u",
                 SHOWN(t->name), (unsigned long long)t->offset, c->g->alignment);
    return st;
}

static realm_status take_tensors(cursor *c)
{
    rl_gguf *g = c->g;
    realm_status st;

    g->tensors = rl_alloc_array(g->n_tensors, sizeof *g->tensors);
    if (!g->tensors ||
        rl_gguf_index_init(&g->names, &g->tensors->name, sizeof *g->tensors, g->n_tensors))
        return realm_fail(c->err, REALM_ENOMEM, "no memory for %u tensors", g->n_tensors);
    for (uint32_t i = 0; i < g->n_tensors; i++) {
        size_t at = c->at;

        st = take_tensor(c, &g->tensors[i]);
        if (st == REALM_OK && rl_gguf_index_add(&g->names, i) != i)
            st = bad(c, at, "the tensor %.*s comes twice", SHOWN(g->tensors[i].name));
        if (st != REALM_OK)
            return st;
    }
    return REALM_OK;
}

/* Every tensor inside the data section, and together no larger than it: many infos that share one
 * piece of the file would otherwise cost more memory than the file has bytes. */
static realm_status place_tensors(cursor *c)
{
    rl_gguf *g = c->g;
    uint64_t start = ((uint64_t)c->at + g->alignment - 1) / g->alignment * g->alignment;
    uint64_t data = start < g->n ? g->n - start : 0;
    uint64_t sum = 0;

    for (uint32_t i = 0; i < g->n_tensors; i++) {
        rl_gguf_tensor *t = &g->tensors[i];

        if (t->offset > data || t->bytes > data - t->offset)
            return bad(c, c->at,
                       "tensor %.*s wants bytes [%llu, +%llu) of a data section of %llu; is the "
                       "file cut off?",
                       SHOWN(t->name), (unsigned long long)t->offset, (unsigned long long)t->bytes,
                       (unsigned long long)data);
        sum += t->bytes; /* no overflow: refused below once over `data` */
        if (sum > data)
            return bad(c, c->at,
                       "tensors overlap: up to %.*s they are larger than the data section",
                       SHOWN(t->name));
        t->data = g->copy ? NULL : g->base + start + t->offset;
    }
    g->data_start = start;
    return REALM_OK;
}

static realm_status take_count(cursor *c, const char *what, size_t min_bytes, uint32_t *out)
{
    size_t at = c->at;
    size_t most = (left(c) < RL_GGUF_METADATA_MAX ? left(c) : RL_GGUF_METADATA_MAX) / min_bytes;
    uint64_t n = 0;
    realm_status st = take_u64(c, what, &n);

    if (st == REALM_OK && (n > most || n > MAX_RECORDS))
        return bad(c, at, "%s %llu is more than the file can hold", what, (unsigned long long)n);
    *out = (uint32_t)n;
    return st;
}

static realm_status take_header(cursor *c)
{
    rl_gguf *g = c->g;
    realm_status st;

    if (g->loaded < 4 || memcmp(g->base, "GGUF", 4) != 0)
        return bad(c, 0, "it does not begin with the letters GGUF");
    c->at = 4;
    st = take_u32(c, "the version", &g->version);
    if (st != REALM_OK)
        return st;
    if (g->version > 0xffff && (g->version & 0xffff) == 0)
        return bad(c, 4, "a big-endian file; convert it to little endian");
    if (g->version < 2 || g->version > 3)
        return bad(c, 4, "version %u; versions 2 and 3 are read", g->version);
    st = take_count(c, "the number of tensors", MIN_TENSOR_BYTES, &g->n_tensors);
    if (st == REALM_OK)
        st = take_count(c, "the number of keys", MIN_KV_BYTES, &g->n_kv);
    return st;
}

realm_status rl_gguf_parse(rl_gguf *g, realm_error *err)
{
    cursor c = { .g = g, .err = err };
    realm_status st = take_header(&c);

    g->alignment = DEFAULT_ALIGN;
    if (st == REALM_OK)
        st = take_pairs(&c);
    if (st == REALM_OK)
        st = take_tensors(&c);
    g->metadata_bytes = c.at;
    if (st == REALM_OK && g->has_data)
        st = place_tensors(&c);
    return st;
}
