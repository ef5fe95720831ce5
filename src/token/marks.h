/* Marks: keep what a request says apart from what a chat template writes.
 *
 * A template copies strings of the request between its own special tokens, after trimming, joining,
 * cutting or encoding them as JSON. Text in such a string that spells a control token must stay
 * text. So before rendering, marks (U+10FFFE, a noncharacter that no template looks for) are put
 * before characters that could be part of one; after rendering they are taken out and their places
 * remembered, and no control token is made of text that a mark lies in (rl_special_scope). What is
 * encoded has no marks in it: pieces around them come out as rl_encode gives them without
 * RL_ENCODE_PARSE_SPECIAL.
 *
 * 1. Marked is every character with which a control token begins ("<"), so that none comes about
 *    even where a template deletes text or joins strings.
 * 2. In a whole control token's text every character is marked: a template that cuts at a fixed
 *    place may lose some marks, never all. So is the end of a string that begins a token, and the
 *    beginning of one that ends a token: the template may write the rest.
 * 3. A mark stands before its character, so templates find, split and compare text as before; the
 *    two methods that would notice (startswith, split) are told of marks (deps/realm_rt, chat.rs).
 * 4. User-defined tokens ("<think>" in many models) are tokens in any text, marked or not.
 * 5. A U+10FFFE of the request becomes U+10FFFE U+10FFFF and comes back. */
#ifndef RL_TOKEN_MARKS_H
#define RL_TOKEN_MARKS_H

#include "token/vocab.h"

typedef struct rl_marks {
    const rl_special *texts;    /* borrowed, like the others; the vocabulary's */
    const rl_special *reversed; /* the control tokens' texts, last byte first */
    const bool *begins;         /* [256] a control token begins with this byte */
} rl_marks;

void rl_marks_init(rl_marks *m, const rl_vocab *v); /* `v` must outlive *m */

/* Writes text[0..n), UTF-8, with its marks to `out`. -> true when that differs from the text;
 * out->failed tells of lack of memory. */
bool rl_marks_put(const rl_marks *m, const char *text, size_t n, rl_buf *out);

/* Takes the marks out of text[0..*n) in place; *n becomes its new length, and their places in the
 * new text are appended to `at`, ascending. */
void rl_marks_take(char *text, size_t *n, rl_ids *at);

#endif
