/* SPM: SentencePiece as "llama" files carry it. Neighbouring pieces whose joined text is a piece
 * are merged, the highest score first; characters that are no piece become their bytes.
 *
 * Texts are kept with real spaces instead of U+2581. Control, unknown and byte tokens are never
 * made from text here: spelling one out gives plain pieces. */
#include "token/vocab.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <math.h>
#include <string.h>

static const char space_mark[] = "\xe2\x96\x81"; /* U+2581 */

/* Copies text to `to`, which may be the same, the space marks as spaces. -> bytes written */
static size_t unmark(char *to, const char *text, size_t n)
{
    size_t k = 0;

    for (size_t i = 0; i < n;) {
        const char *next = memchr(text + i, space_mark[0], n - i);
        size_t plain = next ? (size_t)(next - text) - i : n - i;

        memmove(to + k, text + i, plain);
        k += plain;
        i += plain;
        if (n - i >= 3 && memcmp(text + i, space_mark, 3) == 0) {
            to[k++] = ' ';
            i += 3;
        } else if (i < n) {
            to[k++] = text[i++];
        }
    }
    return k;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789ABCDEF";
    const char *p = c ? strchr(digits, c) : NULL;

    return p ? (int)(p - digits) : -1;
}

/* "<0xNN>" -> the byte, -1 for another text. */
static int byte_of(rl_text t)
{
    int hi, lo;

    if (t.n != 6 || memcmp(t.p, "<0x", 3) != 0 || t.p[5] != '>')
        return -1;
    hi = hex_digit(t.p[3]);
    lo = hex_digit(t.p[4]);
    return hi < 0 || lo < 0 ? -1 : hi * 16 + lo;
}

static realm_status decode_texts(rl_vocab *v, realm_error *err)
{
    char *to = v->texts.pool;

    memset(v->byte_id, 0xff, sizeof v->byte_id); /* RL_NO_TOKEN */
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        rl_text raw = v->raw[i];
        size_t n = raw.n;
        int byte;

        switch (v->kind[i]) {
        case RL_TOKEN_BYTE:
            byte = byte_of(raw);
            if (byte < 0)
                return realm_fail(err, REALM_EINVAL, "byte token %u is not written <0xNN>", i);
            to[0] = (char)byte;
            n = 1;
            if (v->byte_id[byte] == RL_NO_TOKEN)
                v->byte_id[byte] = i;
            break;
        case RL_TOKEN_NORMAL:
        case RL_TOKEN_UNUSED:
            n = unmark(to, raw.p, raw.n);
            break;
        default:
            memcpy(to, raw.p, n);
            break;
        }
        to += n;
        v->texts.starts[i + 1] = (uint32_t)(to - v->texts.pool);
    }
    return REALM_OK;
}

/* Higher score, lower number; equal scores, equal numbers. */
static uint32_t priority_of(float score)
{
    float f = score + 0.0f; /* -0 becomes 0 */
    uint32_t bits;

    memcpy(&bits, &f, sizeof bits);
    return bits & 0x80000000u ? bits : ~(bits | 0x80000000u);
}

static realm_status read_scores(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    const rl_gguf_kv *kv;
    realm_status st =
        rl_vocab_array(g, "tokenizer.ggml.scores", RL_GGUF_F32, v->info.n_tokens, &kv, err);

    if (st != REALM_OK)
        return st;
    if (!kv)
        return realm_fail(err, REALM_EINVAL, "the model file has no tokenizer.ggml.scores");
    v->priority = rl_alloc_array(v->info.n_tokens, sizeof *v->priority);
    if (!v->priority)
        return realm_fail(err, REALM_ENOMEM, "no memory for the vocabulary");
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        float score = (float)rl_gguf_number(kv, i);

        if (!isfinite(score))
            return realm_fail(err, REALM_EINVAL, "the score of token %u is no number", i);
        v->priority[i] = priority_of(score);
    }
    return REALM_OK;
}

static void note_spaces(rl_vocab *v, rl_text t)
{
    for (size_t i = 1; i < t.n; i++) {
        if (t.p[i] == ' ' && t.p[i - 1] != ' ')
            v->ends_before_space[(uint8_t)t.p[i - 1]] = true;
    }
}

/* A token with a real space in the file is found in the text before, never by merging. */
static bool is_piece(const rl_vocab *v, uint32_t i)
{
    if (v->kind[i] != RL_TOKEN_NORMAL && v->kind[i] != RL_TOKEN_USER &&
        v->kind[i] != RL_TOKEN_UNUSED)
        return false;
    return v->raw[i].n && !memchr(v->raw[i].p, ' ', v->raw[i].n);
}

realm_status rl_spm_open(rl_vocab *v, const rl_gguf *g, realm_error *err)
{
    realm_status st = decode_texts(v, err);

    if (st == REALM_OK)
        st = read_scores(v, g, err);
    if (st != REALM_OK)
        return st;
    for (unsigned b = 0; b < 256 && v->info.unk == RL_NO_TOKEN; b++) {
        if (v->byte_id[b] == RL_NO_TOKEN)
            return realm_fail(err, REALM_EINVAL,
                              "the vocabulary has no token for byte %u and no unknown token", b);
    }
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (is_piece(v, i))
            note_spaces(v, rl_texts_at(&v->texts, i));
    }
    return rl_vocab_index_words(v, is_piece, err);
}

uint32_t rl_spm_pair(const void *ctx, rl_symbol left, rl_symbol right, const char *text, size_t n,
                     uint32_t *merged)
{
    const rl_vocab *v = ctx;

    (void)left;
    (void)right;
    *merged = rl_words_find(&v->words, text, n);
    return *merged == RL_NO_WORD ? RL_MERGE_NEVER : v->priority[*merged];
}

/* A symbol that merged has its id; one that stayed a character is looked up only now. */
static void emit(rl_encoder *e, uint32_t id, const char *text, size_t n)
{
    const rl_vocab *v = e->v;

    if (id == RL_NO_TOKEN)
        id = rl_words_find(&v->words, text, n);
    if (id != RL_NO_TOKEN) {
        rl_ids_add(&e->ids, id);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        uint32_t byte = v->byte_id[(uint8_t)text[i]];

        if (byte == RL_NO_TOKEN) {
            rl_ids_add(&e->ids, v->info.unk); /* once for the character */
            return;
        }
        rl_ids_add(&e->ids, byte);
    }
}

/* One word: text that no piece reaches out of. */
static realm_status encode_word(rl_encoder *e, const char *text, size_t n)
{
    rl_merge *m = &e->merge;
    size_t k = 0;

    if (rl_merge_reserve(m, n) != REALM_OK)
        return REALM_ENOMEM;
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = rl_utf8_next(text + i, n - i, &cp);
        size_t step = len > 0 ? (size_t)len : 1;

        m->symbols[k++] = (rl_symbol){ RL_NO_TOKEN, (uint32_t)i };
        i += step;
    }
    m->symbols[k].begin = (uint32_t)n;
    if (rl_merge_run(m, text, n, &k) != REALM_OK)
        return REALM_ENOMEM;
    for (size_t i = 0; i < k; i++)
        emit(e, m->symbols[i].id, text + m->symbols[i].begin,
             m->symbols[i + 1].begin - m->symbols[i].begin);
    return REALM_OK;
}

/* A word ends before a space, unless some piece holds the character before it and a space. */
static size_t word_end(const rl_vocab *v, const char *text, size_t n, size_t from)
{
    for (size_t i = from + 1; i < n; i++) {
        if (text[i] == ' ' && text[i - 1] != ' ' && !v->ends_before_space[(uint8_t)text[i - 1]])
            return i;
    }
    return n;
}

realm_status rl_spm_encode(rl_encoder *e, const char *text, size_t n, bool space)
{
    char *to;
    size_t len = 0;

    rl_buf_clear(&e->text);
    if (space)
        (void)rl_buf_add(&e->text, " ", 1);
    if (rl_buf_add(&e->text, text, n) != REALM_OK)
        return REALM_ENOMEM;
    to = e->text.data;
    len = unmark(to, to, e->text.len); /* shrinks in place */
    for (size_t i = 0; i < len;) {
        size_t end = word_end(e->v, to, len, i), at = e->ids.n;
        rl_memo *slot;
        realm_status st;

        if (!rl_memo_get(e, to + i, end - i, &slot)) {
            st = encode_word(e, to + i, end - i);
            if (st != REALM_OK)
                return st;
            rl_memo_put(e, slot, to + i, end - i, at);
        }
        i = end;
    }
    return REALM_OK;
}
