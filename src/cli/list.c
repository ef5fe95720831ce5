#include "cli/list.h"

#include <stdio.h>
#include <string.h>

#define OUT_MAX ((size_t)64 << 20)

static const void *row_at(const rl_list *l, const void *rows, size_t i)
{
    return (const char *)rows + i * l->row;
}

static void put_json(rl_buf *out, const rl_list *l, const void *rows, size_t n)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_array(&j, l->name);
    for (size_t i = 0; i < n; i++)
        l->json(&j, row_at(l, rows, i));
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void put_table(rl_buf *out, const rl_list *l, const void *rows, size_t n)
{
    rl_table t;

    rl_table_init(&t, l->align);
    for (size_t i = 0; i < strlen(l->align); i++)
        rl_table_add(&t, l->heads[i]);
    for (size_t i = 0; i < n; i++)
        l->cells(&t, row_at(l, rows, i));
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

int rl_list_print(const rl_cli *c, const rl_list *l, const void *rows, size_t n)
{
    rl_buf out;

    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json"))
        put_json(&out, l, rows, n);
    else if (n)
        put_table(&out, l, rows, n);
    else
        (void)fprintf(stderr, "%s\n", l->none);
    return rl_cli_print(&out);
}
