/* What the files of this room share of a vocabulary; other rooms include token.h. */
#ifndef RL_TOKEN_VOCAB_H
#define RL_TOKEN_VOCAB_H

#include "token/ids.h"
#include "token/map.h"
#include "token/merge.h"
#include "token/pretok.h"
#include "token/special.h"
#include "token/token.h"
#include "token/words.h"

/* Kinds of tokens, the numbers of tokenizer.ggml.token_type. */
enum {
    RL_TOKEN_NORMAL = 1,
    RL_TOKEN_UNKNOWN = 2,
    RL_TOKEN_CONTROL = 3,
    RL_TOKEN_USER = 4,
    RL_TOKEN_UNUSED = 5,
    RL_TOKEN_BYTE = 6,
};

struct rl_vocab {
    rl_vocab_info info;
    char pre_name[32];
    bool spm;       /* else byte-level BPE */
    bool mapped;    /* the arrays and the tables lie in those that came with the file (tables.h) */
    rl_text *raw;   /* owned; [n_tokens] texts as the file has them; NULL once open */
    rl_texts texts; /* [n_tokens] the bytes that each token stands for; owned unless mapped */
    uint8_t *kind;  /* [n_tokens] RL_TOKEN_*; owned unless mapped */
    uint32_t *eog;  /* [info.n_eog]; owned unless mapped */
    rl_special special;
    rl_special reversed;   /* marks.h: the texts of parsed tokens, last byte first */
    bool begins[256];      /* marks.h: the text of a parsed token begins with this byte */
    uint32_t byte_id[256]; /* token of one byte, RL_NO_TOKEN without */

    rl_words words;              /* over `texts`: SPM's pieces; BPE's whole words, when wanted */
    uint32_t *priority;          /* [n_tokens] SPM: order of merging; owned unless mapped */
    bool ends_before_space[256]; /* SPM: a piece holds this byte and then a space */

    const rl_pretok *pretok; /* BPE; static */
    rl_map merges;           /* BPE: left << 32 | right -> rank << 32 | merged */
};

#define RL_MEMO_SLOTS 4096u
#define RL_MEMO_BYTES 16u /* longest word that is remembered */

/* A word met before in the same text: its bytes in two overlapping halves, and where its ids are.
 */
typedef struct rl_memo {
    uint64_t head, tail;
    uint32_t ids_begin;
    uint8_t n, n_ids; /* n 0: empty */
} rl_memo;

/* State of one rl_encode call. */
typedef struct rl_encoder {
    const rl_vocab *v;
    rl_merge merge;
    rl_memo *memo; /* owned; [RL_MEMO_SLOTS], NULL for short texts */
    rl_buf text;   /* SPM: the text as pieces spell it */
    rl_ids ids;
    const uint32_t *marks; /* borrowed; [n_marks] where control tokens do not count */
    size_t n_marks;
} rl_encoder;

/* The memo: rl_memo_get appends the ids of a word met before; else *slot is where rl_memo_put may
 * remember that ids[ids_begin..] are the word's (NULL when it may not). */
bool rl_memo_get(rl_encoder *e, const char *word, size_t n, rl_memo **slot);
void rl_memo_put(rl_encoder *e, rl_memo *slot, const char *word, size_t n, size_t ids_begin);

/* spm.c and bpe.c: fill what their model needs; `g` has the keys. */
realm_status rl_spm_open(rl_vocab *v, const rl_gguf *g, realm_error *err) REALM_MUST_USE;
realm_status rl_bpe_open(rl_vocab *v, const rl_gguf *g, realm_error *err) REALM_MUST_USE;

/* Appends the ids of text[0..n), which holds no special text, to e->ids. n > 0; e->ids.failed tells
 * of memory that ran out there. `space`: SPM puts a space before the text. -> OK | ENOMEM */
realm_status rl_spm_encode(rl_encoder *e, const char *text, size_t n, bool space) REALM_MUST_USE;
realm_status rl_bpe_encode(rl_encoder *e, const char *text, size_t n) REALM_MUST_USE;

/* merges.c: v->merges from the array of "left right" texts. `raw` texts are needed. */
realm_status rl_merges_open(rl_vocab *v, const rl_gguf_kv *kv, realm_error *err) REALM_MUST_USE;

/* True for tokens that text becomes only when special tokens are parsed. */
bool rl_vocab_is_parsed(const rl_vocab *v, uint32_t id);

/* Fills *ix with the tokens that `wanted` picks, over v->raw. -> OK | ENOMEM */
realm_status rl_vocab_index_raw(const rl_vocab *v, rl_gguf_index *ix,
                                bool (*wanted)(const rl_vocab *, uint32_t),
                                realm_error *err) REALM_MUST_USE;

/* Fills v->words with the tokens that `wanted` picks, over v->texts. -> OK | ENOMEM */
realm_status rl_vocab_index_words(rl_vocab *v, bool (*wanted)(const rl_vocab *, uint32_t),
                                  realm_error *err) REALM_MUST_USE;

/* The merging functions, rl_merge_fn with ctx an rl_vocab. */
uint32_t rl_spm_pair(const void *ctx, rl_symbol left, rl_symbol right, const char *text, size_t n,
                     uint32_t *merged);
uint32_t rl_bpe_pair(const void *ctx, rl_symbol left, rl_symbol right, const char *text, size_t n,
                     uint32_t *merged);

/* An encode with its counters left to read: what rl_encode wraps and tests bound. */
realm_status rl_encoder_run(rl_encoder *e, const char *text, size_t n,
                            uint32_t flags) REALM_MUST_USE;
void rl_encoder_deinit(rl_encoder *e);

/* Runs, moves the ids out and deinits: rl_encode with an encoder of the caller's making. */
realm_status rl_encoder_take(rl_encoder *e, const char *text, size_t n, uint32_t flags,
                             uint32_t **ids, size_t *n_ids, realm_error *err) REALM_MUST_USE;

/* eog.c: v->eog. `raw` texts are needed. */
realm_status rl_eog_open(rl_vocab *v, const rl_gguf *g, realm_error *err) REALM_MUST_USE;

/* marks.c: v->reversed and v->begins. `raw` texts are needed. -> OK | ENOMEM */
realm_status rl_marks_open(rl_vocab *v) REALM_MUST_USE;

/* True for the texts that end a turn by their name in every model that has them. */
bool rl_eog_known_name(rl_text text);

/* The array `key` of n_want items of the kind; *kv NULL when the file has none.
 * -> OK | EINVAL (another kind or length) */
realm_status rl_vocab_array(const rl_gguf *g, const char *key, rl_gguf_kind item, uint64_t n_want,
                            const rl_gguf_kv **kv, realm_error *err) REALM_MUST_USE;

#endif
