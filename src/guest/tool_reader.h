/* Tool reader: finds the calls in a model's text as it comes, and gives the text around them, each
 * call's name, and its arguments piece by piece.
 *
 * 1. Nothing is lost: what looked like a call and is none comes as text. Only white space around
 *    calls and what frames them is dropped.
 * 2. What could still become a call is held back, at most RL_TOOL_HOLD bytes and RL_HELD_MAX tokens
 *    of it.
 * 3. White space in a call's frame may differ from what the format says; the arguments are given as
 *    they stand, and end where their braces do.
 * 4. How the text was cut into pieces changes nothing. No threads, no JSON library.
 * 5. Tokens come with the text they begin in, each once; those of calls are dropped with them.
 * 6. Beside a form of the text (`formed`) a reply is calls from its first byte on, written as their
 *    grammar has it, or it has none. */
#ifndef RL_GUEST_TOOL_READER_H
#define RL_GUEST_TOOL_READER_H

#include "guest/held.h"
#include "guest/tools.h"

#define RL_TOOL_HOLD 1024u

typedef enum rl_tool_part {
    RL_TOOL_TEXT,
    RL_TOOL_BEGIN, /* a call; p [n] is its name */
    RL_TOOL_ARGS,  /* a piece of its arguments */
} rl_tool_part;

typedef struct rl_tool_item {
    rl_tool_part part;
    const char *p;  /* [n]; valid until text is added. Text and arguments: whole characters */
    size_t n;       /* 0 without tokens: the next character does not fit */
    uint32_t index; /* of the call: 0, 1, ... */
    const rl_stream_token *tokens; /* [n_tokens] of a text; valid like p */
    uint32_t n_tokens;
} rl_tool_item;

typedef enum rl_tool_place {
    RL_TOOL_AT_HEAD,  /* of the text, beside a form */
    RL_TOOL_ALL_TEXT, /* there is no call */
    RL_TOOL_AT_START, /* of the text, for formats whose calls stand there alone */
    RL_TOOL_IN_TEXT,
    RL_TOOL_IN_ARGS,
    RL_TOOL_BEHIND, /* a call's arguments */
} rl_tool_place;

typedef struct rl_tool_reader {
    const rl_tools *tools; /* borrowed */
    rl_buf in;             /* in.data[at..) was not given yet; failed: no memory for the text */
    size_t at;
    uint64_t passed;      /* bytes of text before in.data */
    rl_held held;         /* tokens whose text was not given yet */
    uint32_t most_tokens; /* in one item */
    size_t plain;         /* so many bytes from `at` on are text, whatever is in them */
    rl_tool_place place;
    bool told; /* text was given since the last call */
    bool ended, quoted, escaped;
    uint32_t depth;   /* of braces and brackets in the arguments */
    uint32_t n_calls; /* so far */
} rl_tool_reader;

/* most_tokens: in one item; 0 where no tokens are added */
void rl_tool_reader_init(rl_tool_reader *r, const rl_tools *tools, uint32_t most_tokens);
void rl_tool_reader_deinit(rl_tool_reader *r);

void rl_tool_reader_add(rl_tool_reader *r, const char *p, size_t n); /* r->in.failed tells */
/* The token whose text was added since the last one. */
void rl_tool_reader_add_token(rl_tool_reader *r, const rl_stream_token *t);
void rl_tool_reader_end(rl_tool_reader *r); /* no text comes any more */

/* The next item, of at most cap bytes (arguments: or one character). -> false: none now */
bool rl_tool_reader_next(rl_tool_reader *r, rl_tool_item *item, size_t cap);
bool rl_tool_reader_ready(const rl_tool_reader *r); /* next would give one */

#endif
