/* Text for people: what is safe on a terminal, how wide a terminal is, and lines that fit it. */
#ifndef RL_CLI_TEXT_H
#define RL_CLI_TEXT_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>

/* Columns of the terminal behind fd; 0: it is none, or does not tell. */
size_t rl_text_columns(int fd);

/* The terminal on stderr understands control sequences (it is one, and TERM is not "dumb"). */
bool rl_text_steers(void);
/* What begins and ends dim text on stderr: empty where NO_COLOR asks for none, and where the
 * terminal would not understand it. */
const char *rl_text_dim(bool on);

/* Appends s[0..n) with control characters and bytes that are no UTF-8 written out (\n, \t, \x1b):
 * what comes from a file or a guest must not steer the terminal. */
void rl_text_escape(rl_buf *out, const char *s, size_t n);

/* Appends `text` broken at spaces into lines of at most `columns`. The first line begins at column
 * `at`, where the caller stands; further ones after `indent` spaces. Ends with a newline. */
void rl_text_wrap(rl_buf *out, const char *text, size_t at, size_t indent, size_t columns);

/* Characters of s, which is what columns count. */
size_t rl_text_width(const char *s);

#endif
