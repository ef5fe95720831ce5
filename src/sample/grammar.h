/* Grammar: which ids may come next so that the text stays inside a JSON schema, a regular
 * expression or a Lark grammar. llguidance does the parsing (its syntax documents are the
 * reference); this is what the room makes of it.
 *
 * 1. An env is a vocabulary as the parser sees it: immutable, shared by all grammars of a model,
 * any thread. Making one takes tenths of a second for a large vocabulary.
 * 2. A grammar is one matcher's state; one thread at a time. Clones go their own ways.
 * 3. Sources come from clients: their size, the parser's tables and the work of a step are bounded,
 *    and what does not compile is an error that says why. Compiling needs a deep stack and may take
 *    a while: on a helper.
 * 4. Where the text is complete, the end-of-generation ids are allowed; where nothing else can
 * follow they are all that is. */
#ifndef RL_SAMPLE_GRAMMAR_H
#define RL_SAMPLE_GRAMMAR_H

#include "sample/heads.h"
#include "sample/lead.h"
#include "sample/order.h"
#include "sample/sample.h"
#include "token/token.h"

#define RL_GRAMMAR_BYTES ((size_t)256 << 10) /* most bytes of a source */

typedef enum rl_grammar_kind {
    RL_GRAMMAR_JSON_SCHEMA, /* a schema as JSON text */
    RL_GRAMMAR_REGEX,       /* of the whole text */
    RL_GRAMMAR_LARK,
} rl_grammar_kind;

typedef struct rl_grammar_env rl_grammar_env;

/* vocab: borrowed, outlives the env. -> OK | EUNSUPPORTED (no end token) | ENOMEM */
realm_status rl_grammar_env_new(rl_grammar_env **out, const rl_vocab *vocab,
                                realm_error *err) REALM_MUST_USE;
void rl_grammar_env_free(rl_grammar_env *env); /* NULL is fine; no grammar of it is left */

/* env: borrowed, outlives the grammar and its clones. source [n]: UTF-8.
 * -> OK | EINVAL (does not compile; err says why) | ETOOBIG | ENOMEM */
realm_status rl_grammar_new(rl_grammar **out, const rl_grammar_env *env, rl_grammar_kind kind,
                            const char *source, size_t n, realm_error *err) REALM_MUST_USE;
realm_status rl_grammar_clone(rl_grammar **out, const rl_grammar *g,
                              realm_error *err) REALM_MUST_USE;
void rl_grammar_free(rl_grammar *g); /* NULL is fine */

/* A new grammar that waits: every id may come until the text has the marker in it; what follows the
 * marker is inside the grammar. */
typedef struct rl_grammar_wait {
    const char *marker; /* copied; 1..RL_LEAD_MAX bytes */
    bool first;         /* only at the text's beginning; white space and control tokens aside */
    bool again;         /* once complete it waits for the next marker; else the text ends there */
} rl_grammar_wait;

/* Only before the first id. -> OK | EINVAL (the marker's length) */
realm_status rl_grammar_lazy(rl_grammar *g, const rl_grammar_wait *w,
                             realm_error *err) REALM_MUST_USE;
bool rl_grammar_waits(const rl_grammar *g); /* every id may come now */

/* Makes of two new grammars of one env a choice: a text is inside g, or inside `other`, which is
 * taken. heads [n]: how texts of g begin, each 1..RL_HEAD_MAX bytes; what begins so is never
 * `other`'s, so the beginning of a text tells which of the two it is.
 * -> OK | EINVAL (a head's length) | ENOMEM; on failure nothing is taken */
realm_status rl_grammar_either(rl_grammar *g, rl_grammar *other, const rl_head *heads, uint32_t n,
                               realm_error *err) REALM_MUST_USE;

/* Sets the bits of the ids that may come next. mask [ceil(n_tokens / 32)]
 * -> OK | EINVAL (too much work for this step) */
realm_status rl_grammar_mask(rl_grammar *g, uint32_t *mask, realm_error *err) REALM_MUST_USE;
/* Goes on by one id. -> OK | EINVAL (it was not allowed) */
realm_status rl_grammar_accept(rl_grammar *g, uint32_t id, realm_error *err) REALM_MUST_USE;

/* Ahead of the text: what its end may look like (ending.h). */
const rl_order *rl_grammar_order(const rl_grammar *g); /* of its vocabulary */
/* Whether the ids may come one after the other. Cheap: no mask. false while it waits */
bool rl_grammar_fits(rl_grammar *g, const uint32_t *ids, size_t n);
/* The ids that must come now, whatever else does: at most cap of them. -> how many */
uint32_t rl_grammar_forced(rl_grammar *g, uint32_t *ids, uint32_t cap);
/* Of how many grammars the text may still be: 0 while it waits, 2 of a choice, else 1; and a clone
 * of one of them as it stands, which costs about as much as a few masks. -> OK | ENOMEM */
uint32_t rl_grammar_arms(const rl_grammar *g);
realm_status rl_grammar_arm(rl_grammar **out, const rl_grammar *g, uint32_t arm,
                            realm_error *err) REALM_MUST_USE;

#endif
