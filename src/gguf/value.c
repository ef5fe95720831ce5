/* Typed getters over checked values. */
#include "gguf/gguf.h"

#include "gguf/parse.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    uint8_t bytes; /* of one scalar; 0: no scalar */
} kinds[RL_GGUF_KINDS] = {
    [RL_GGUF_U8] = { "u8", 1 },         [RL_GGUF_I8] = { "i8", 1 },
    [RL_GGUF_U16] = { "u16", 2 },       [RL_GGUF_I16] = { "i16", 2 },
    [RL_GGUF_U32] = { "u32", 4 },       [RL_GGUF_I32] = { "i32", 4 },
    [RL_GGUF_F32] = { "f32", 4 },       [RL_GGUF_BOOL] = { "bool", 1 },
    [RL_GGUF_STRING] = { "string", 0 }, [RL_GGUF_ARRAY] = { "array", 0 },
    [RL_GGUF_U64] = { "u64", 8 },       [RL_GGUF_I64] = { "i64", 8 },
    [RL_GGUF_F64] = { "f64", 8 },
};

const char *rl_gguf_kind_name(rl_gguf_kind kind)
{
    return (unsigned)kind < RL_GGUF_KINDS ? kinds[kind].name : "?";
}

size_t rl_gguf_kind_bytes(rl_gguf_kind kind)
{
    return (unsigned)kind < RL_GGUF_KINDS ? kinds[kind].bytes : 0;
}

static const rl_gguf_kv *find_or_fail(const rl_gguf *g, const char *key, realm_error *err)
{
    const rl_gguf_kv *kv = rl_gguf_find(g, key);

    if (!kv)
        (void)realm_fail(err, REALM_ENOTFOUND, "the model file has no key %s", key);
    return kv;
}

static realm_status wrong(const rl_gguf_kv *kv, const char *key, const char *want, realm_error *err)
{
    return realm_fail(err, REALM_EINVAL,
                      "the model file's key %s is of kind %s or out of range: "
                      "expected %s",
                      key, rl_gguf_kind_name(kv->kind), want);
}

/* The value bits of integer item i, sign-extended; *negative tells how to read them. */
static uint64_t integer_bits(rl_gguf_kind kind, const uint8_t *p, bool *negative)
{
    int64_t v;

    *negative = false;
    switch (kind) {
    case RL_GGUF_U8:
    case RL_GGUF_BOOL:
        return p[0];
    case RL_GGUF_U16:
        return (uint64_t)p[0] | (uint64_t)p[1] << 8;
    case RL_GGUF_U32:
        return rl_gguf_le32(p);
    case RL_GGUF_U64:
        return rl_gguf_le64(p);
    case RL_GGUF_I8:
        v = (int64_t)(p[0] ^ 0x80) - 0x80;
        break;
    case RL_GGUF_I16:
        v = (int16_t)(uint16_t)(p[0] | p[1] << 8);
        break;
    case RL_GGUF_I32:
        v = (int32_t)rl_gguf_le32(p);
        break;
    default: /* RL_GGUF_I64 */
        v = (int64_t)rl_gguf_le64(p);
        break;
    }
    *negative = v < 0;
    return (uint64_t)v;
}

static bool is_integer(rl_gguf_kind kind)
{
    return kinds[kind].bytes && kind != RL_GGUF_F32 && kind != RL_GGUF_F64 && kind != RL_GGUF_BOOL;
}

static double float_value(rl_gguf_kind kind, const uint8_t *p)
{
    uint32_t b32 = rl_gguf_le32(p);
    uint64_t b64;
    float f;
    double d;

    if (kind == RL_GGUF_F32) {
        memcpy(&f, &b32, sizeof f);
        return (double)f;
    }
    b64 = rl_gguf_le64(p);
    memcpy(&d, &b64, sizeof d);
    return d;
}

realm_status rl_gguf_u32(const rl_gguf *g, const char *key, uint32_t *out, realm_error *err)
{
    const rl_gguf_kv *kv = find_or_fail(g, key, err);
    bool negative;
    uint64_t v;

    if (!kv)
        return REALM_ENOTFOUND;
    if (!is_integer(kv->kind))
        return wrong(kv, key, "an integer of 32 bits", err);
    v = integer_bits(kv->kind, kv->value, &negative);
    if (negative || v > UINT32_MAX)
        return wrong(kv, key, "an integer of 32 bits", err);
    *out = (uint32_t)v;
    return REALM_OK;
}

realm_status rl_gguf_f32(const rl_gguf *g, const char *key, float *out, realm_error *err)
{
    const rl_gguf_kv *kv = find_or_fail(g, key, err);
    float f;

    if (!kv)
        return REALM_ENOTFOUND;
    if (kv->kind != RL_GGUF_F32 && kv->kind != RL_GGUF_F64)
        return wrong(kv, key, "a finite float", err);
    f = (float)float_value(kv->kind, kv->value);
    if (!isfinite(f))
        return wrong(kv, key, "a finite float", err);
    *out = f;
    return REALM_OK;
}

realm_status rl_gguf_bool(const rl_gguf *g, const char *key, bool *out, realm_error *err)
{
    const rl_gguf_kv *kv = find_or_fail(g, key, err);

    if (!kv)
        return REALM_ENOTFOUND;
    if (kv->kind != RL_GGUF_BOOL)
        return wrong(kv, key, "a bool", err);
    *out = kv->value[0] != 0;
    return REALM_OK;
}

realm_status rl_gguf_text(const rl_gguf *g, const char *key, rl_text *out, realm_error *err)
{
    const rl_gguf_kv *kv = find_or_fail(g, key, err);
    const uint8_t *at;

    if (!kv)
        return REALM_ENOTFOUND;
    if (kv->kind != RL_GGUF_STRING)
        return wrong(kv, key, "a string", err);
    at = kv->value;
    *out = rl_gguf_next_text(&at);
    return REALM_OK;
}

double rl_gguf_number(const rl_gguf_kv *kv, uint64_t i)
{
    size_t each = rl_gguf_kind_bytes(kv->item);
    const uint8_t *p = kv->value + i * each;
    bool negative;
    uint64_t bits;

    if (each == 0 || i >= kv->n)
        return NAN;
    if (kv->item == RL_GGUF_F32 || kv->item == RL_GGUF_F64)
        return float_value(kv->item, p);
    bits = integer_bits(kv->item, p, &negative);
    return negative ? (double)(int64_t)bits : (double)bits;
}

rl_text rl_gguf_next_text(const uint8_t **at)
{
    rl_text t = { (const char *)*at + 8, (size_t)rl_gguf_le64(*at) };

    *at += 8 + t.n;
    return t;
}
