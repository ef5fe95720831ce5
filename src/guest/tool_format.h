/* Tool formats: how models write calls of functions. One row each; what reads them (tool_reader.c)
 * and what forces them (tool_grammar.c) both follow the row. A call is always
 * {"name": "f", ARGS: {...}}, with white space as Python's json.dumps puts it. */
#ifndef RL_GUEST_TOOL_FORMAT_H
#define RL_GUEST_TOOL_FORMAT_H

#include "token/token.h"

#define RL_TOOL_MARKS 2u

typedef struct rl_tool_format {
    const char *name;
    const char *sign;   /* a chat template that writes this format has this text in it */
    const char *marker; /* calls begin with it; "": with nothing, and only where the text begins */
    const char *open;   /* between the marker and the first call */
    const char *between;
    const char *close;                /* after the last call */
    const char *args;                 /* the arguments' key */
    const char *marks[RL_TOOL_MARKS]; /* texts that may be control tokens; NULL: no more */
    bool bare; /* calls without the marker are read where the text begins: small models forget it */
    bool again; /* each call is closed; text and other calls may follow. `between` is two of them */
    bool single;       /* its templates take no more than one call in a message */
    uint32_t id_chars; /* so long its templates want the ids of calls; 0: as they are */
} rl_tool_format;

/* What stands before a first call, and may be left out, where there is no marker. */
static inline const char *rl_tool_format_skip(const rl_tool_format *f)
{
    return f->marker[0] == 0 && f->marks[0] ? f->marks[0] : "";
}

/* The format of a template; NULL: it knows no tools, or none of our formats. chat NULL: NULL */
const rl_tool_format *rl_tool_format_of(const rl_chat *chat);
/* What a model is told to write whose template says nothing. */
const rl_tool_format *rl_tool_format_default(void);
const rl_tool_format *rl_tool_format_named(const char *name); /* NULL: none */

#endif
