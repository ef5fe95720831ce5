/* Table: rows of text, columns aligned by what a person sees (characters, not bytes). */
#ifndef RL_CLI_TABLE_H
#define RL_CLI_TABLE_H

#include "base/buf.h"

#define RL_TABLE_COLS 12u

typedef struct rl_table {
    const char *align; /* one letter per column: l or r */
    rl_buf cells;      /* NUL-terminated texts, row after row */
    size_t n_cells;
} rl_table;

void rl_table_init(rl_table *t, const char *align);
void rl_table_deinit(rl_table *t);
/* Adds one cell; rows fill up from the left. Control characters are written out (\n, \x1b). */
void rl_table_add(rl_table *t, const char *text);
void rl_table_addf(rl_table *t, const char *fmt, ...) REALM_PRINTF(2, 3);
/* Appends the table, two spaces between columns, no spaces at line ends, each line after `indent`.
 */
void rl_table_show(const rl_table *t, const char *indent, rl_buf *out);

#endif
