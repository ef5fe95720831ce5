#include "cli/table.h"

#include "cli/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define TABLE_MAX ((size_t)64 << 20)

void rl_table_init(rl_table *t, const char *align)
{
    t->align = align;
    t->n_cells = 0;
    rl_buf_init(&t->cells, TABLE_MAX);
}

void rl_table_deinit(rl_table *t)
{
    rl_buf_deinit(&t->cells);
}

void rl_table_add(rl_table *t, const char *text)
{
    rl_text_escape(&t->cells, text, strlen(text));
    if (rl_buf_add(&t->cells, "", 1) == REALM_OK)
        t->n_cells++;
}

void rl_table_addf(rl_table *t, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    rl_table_add(t, text);
}

static void pad(rl_buf *out, size_t n)
{
    while (n--)
        (void)rl_buf_add(out, " ", 1);
}

static void show_cell(rl_buf *out, const char *cell, size_t col_width, char align, bool last)
{
    size_t gap = col_width - rl_text_width(cell);

    if (align == 'r')
        pad(out, gap);
    (void)rl_buf_adds(out, cell);
    if (align != 'r' && !last)
        pad(out, gap);
    (void)rl_buf_adds(out, last ? "\n" : "  ");
}

/* A row whose last cells are empty ends at its last text. */
static size_t used_cols(const char *cell, size_t cols)
{
    size_t used = 1;

    for (size_t c = 0; c < cols; c++, cell += strlen(cell) + 1)
        used = *cell ? c + 1 : used;
    return used;
}

void rl_table_show(const rl_table *t, const char *indent, rl_buf *out)
{
    size_t widths[RL_TABLE_COLS] = { 0 }, cols = strlen(t->align);
    const char *cell = t->cells.data;

    for (size_t i = 0; i < t->n_cells; i++, cell += strlen(cell) + 1) {
        size_t w = rl_text_width(cell);

        if (w > widths[i % cols])
            widths[i % cols] = w;
    }
    cell = t->cells.data;
    for (size_t row = 0; row < t->n_cells / cols; row++) {
        size_t used = used_cols(cell, cols);

        (void)rl_buf_adds(out, indent);
        for (size_t c = 0; c < cols; c++, cell += strlen(cell) + 1) {
            if (c < used)
                show_cell(out, cell, widths[c], t->align[c], c + 1 == used);
        }
    }
}
