#include "base/config.h"

#include "base/assert.h"
#include "base/buf.h"
#include "base/fs.h"
#include "base/nearest.h"
#include "base/toml.h"
#include "base/units.h"
#include "base/utf8.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROWS  128u
#define MAX_ITEMS RL_TOML_ITEMS
#define ENV_NAME  64u /* of a variable */

/* Where a value is read, and for whom it is. */
typedef struct place {
    rl_config *c;
    const rl_config_row *row;
    const char *who;  /* begins the sentence: "--port", "REALM_PORT", "port" */
    const char *from; /* of the arena, or constant */
    realm_error *err;
} place;

static realm_status no_memory(realm_error *err)
{
    return realm_fail(err, REALM_ENOMEM, "no memory for the configuration");
}

/* ---- sentences ------------------------------------------------------------------------------- */

/* "a, b or c" of words with spaces between them. */
static void either(rl_buf *out, const char *words)
{
    while (*words) {
        size_t n = strcspn(words, " ");
        const char *next = words + n + (words[n] == ' ');

        (void)rl_buf_addf(out, "%.*s%s", (int)n, words,
                          !*next              ? ""
                          : strchr(next, ' ') ? ", "
                                              : " or ");
        words = next;
    }
}

/* What may stand there. */
static void expected(rl_buf *out, const rl_config_row *row)
{
    switch (row->type) {
    case RL_CONFIG_TEXT:
        (void)rl_buf_addf(out, "a text of %lld to %lld bytes on one line", (long long)row->least,
                          (long long)row->most);
        return;
    case RL_CONFIG_INT:
        (void)rl_buf_addf(out, "a whole number from %lld to %lld", (long long)row->least,
                          (long long)row->most);
        return;
    case RL_CONFIG_SIZE:
        (void)rl_buf_adds(out, "a size such as 512KiB, 64MiB or 2GiB");
        if (row->most < INT64_MAX)
            (void)rl_buf_addf(out, ", from %lld to %lld bytes", (long long)row->least,
                              (long long)row->most);
        return;
    case RL_CONFIG_BOOL:
        (void)rl_buf_adds(out, "true or false");
        return;
    case RL_CONFIG_WORD:
        either(out, row->words);
        return;
    case RL_CONFIG_LIST:
        (void)rl_buf_addf(out, "texts of %lld to %lld bytes, at most %u", (long long)row->least,
                          (long long)row->most, MAX_ITEMS);
        return;
    }
}

/* "<who> <text>: give <what may stand there>" */
static realm_status refuse(const place *at, const char *text)
{
    realm_status st;
    rl_buf give;

    rl_buf_init(&give, 512);
    expected(&give, at->row);
    if (!*text)
        st = realm_fail(at->err, REALM_EINVAL, "%s is empty", at->who);
    else
        st = realm_fail(at->err, REALM_EINVAL, "%s %.60s: give %s", at->who, text,
                        give.data ? give.data : "another");
    rl_buf_deinit(&give);
    return st;
}

/* ---- values ---------------------------------------------------------------------------------- */

static bool in_range(const rl_config_row *row, int64_t v)
{
    return v >= row->least && v <= row->most;
}

/* One line of [least, most] bytes. */
static bool good_text(const rl_config_row *row, const char *s, size_t n)
{
    if (!in_range(row, (int64_t)n) || !rl_utf8_valid(s, n))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] < ' ' || s[i] == 0x7f)
            return false;
    return true;
}

/* Which of the words it is; -1: none. */
static int64_t which(const char *words, const char *text)
{
    size_t n = strlen(text);

    for (int64_t i = 0; *words; i++) {
        size_t len = strcspn(words, " ");

        if (len == n && strncmp(words, text, n) == 0)
            return i;
        words += len + (words[len] == ' ');
    }
    return -1;
}

/* The number that the text is for its row; false: it is none. */
static bool number_of(const rl_config_row *row, const char *text, int64_t *number)
{
    uint64_t v = 0;
    bool is;

    switch (row->type) {
    case RL_CONFIG_INT:
        is = rl_units_uint(text, &v);
        break;
    case RL_CONFIG_SIZE:
        is = rl_units_size(text, &v);
        break;
    case RL_CONFIG_BOOL:
        *number = which("false true", text);
        return *number >= 0;
    case RL_CONFIG_WORD:
        *number = which(row->words, text);
        return *number >= 0;
    default:
        return good_text(row, text, strlen(text));
    }
    *number = (int64_t)v;
    return is && in_range(row, *number);
}

/* Keeps copies; list may be NULL. */
static realm_status put(const place *at, const char *text, int64_t number, const char *const *list,
                        size_t n_list)
{
    rl_config_value *v = &at->c->values[at->row - at->c->rows];
    const char **copy = NULL;
    char *kept = rl_arena_strndup(&at->c->arena, text, strlen(text));

    if (n_list)
        copy = rl_arena_alloc_array(&at->c->arena, n_list, sizeof *copy);
    if (!kept || (n_list && !copy))
        return no_memory(at->err);
    for (size_t i = 0; i < n_list; i++) {
        copy[i] = rl_arena_strndup(&at->c->arena, list[i], strlen(list[i]));
        if (!copy[i])
            return no_memory(at->err);
    }
    *v = (rl_config_value){
        .text = kept, .number = number, .list = copy, .n_list = n_list, .from = at->from
    };
    return REALM_OK;
}

static realm_status put_list(const place *at, const char *const *list, size_t n)
{
    realm_status st = REALM_OK;
    rl_buf text;

    rl_buf_init(&text, (size_t)1 << 20);
    for (size_t i = 0; st == REALM_OK && i < n; i++) {
        if (!good_text(at->row, list[i], strlen(list[i])))
            st = refuse(at, list[i]);
        (void)rl_buf_addf(&text, "%s%s", i ? "," : "", list[i]);
    }
    if (st == REALM_OK && text.failed)
        st = no_memory(at->err);
    if (st == REALM_OK)
        st = put(at, text.data ? text.data : "", 0, list, n);
    rl_buf_deinit(&text);
    return st;
}

/* Texts with commas between them; spaces around each are not of it. */
static realm_status split(const place *at, const char *text)
{
    const char *list[MAX_ITEMS];
    size_t n = 0;

    while (*text) {
        size_t len = strcspn(text, ","), from = 0, to = len;

        while (from < to && text[from] == ' ')
            from++;
        while (to > from && text[to - 1] == ' ')
            to--;
        if (n == MAX_ITEMS)
            return refuse(at, text);
        list[n] = rl_arena_strndup(&at->c->arena, text + from, to - from);
        if (!list[n++])
            return no_memory(at->err);
        text += len + (text[len] == ',');
    }
    return put_list(at, list, n);
}

static realm_status put_text(const place *at, const char *text)
{
    int64_t number = 0;

    if (at->row->type == RL_CONFIG_LIST)
        return split(at, text);
    return number_of(at->row, text, &number) ? put(at, text, number, NULL, 0) : refuse(at, text);
}

/* ---- files ----------------------------------------------------------------------------------- */

typedef struct reading {
    rl_config *c;
    const char *path;
} reading;

static const rl_config_row *find(const rl_config *c, const char *table, const char *name)
{
    for (size_t i = 0; i < c->n_rows; i++)
        if (strcmp(c->rows[i].name, name) == 0 && (!table || strcmp(c->rows[i].table, table) == 0))
            return &c->rows[i];
    return NULL;
}

/* The name is in no row of its table: says which is near, or where it belongs. */
static realm_status unknown_key(const rl_config *c, const char *table, const char *key,
                                realm_error *err)
{
    const rl_config_row *elsewhere = find(c, NULL, key);
    const char *names[MAX_ROWS], *near;
    size_t n = 0;

    if (elsewhere && *elsewhere->table)
        return realm_fail(err, REALM_EINVAL, "%s belongs below the line [%s]", key,
                          elsewhere->table);
    if (elsewhere)
        return realm_fail(err, REALM_EINVAL, "%s belongs above the first [table]", key);
    for (size_t i = 0; i < c->n_rows; i++)
        if (strcmp(c->rows[i].table, table) == 0)
            names[n++] = c->rows[i].name;
    near = rl_nearest(key, names, n);
    return realm_fail(err, REALM_EINVAL, "there is no setting %s%s%s%s", key,
                      near ? "; did you mean " : "; see realm help config", near ? near : "",
                      near ? "?" : "");
}

static realm_status check_table(const rl_config *c, const char *table, realm_error *err)
{
    const char *names[MAX_ROWS], *near;
    size_t n = 0;

    for (size_t i = 0; i < c->n_rows; i++) {
        if (strcmp(c->rows[i].table, table) == 0)
            return REALM_OK;
        if (*c->rows[i].table)
            names[n++] = c->rows[i].table;
    }
    near = rl_nearest(table, names, n);
    if (near)
        return realm_fail(err, REALM_EINVAL, "there is no table %s; did you mean [%s]?", table,
                          near);
    return realm_fail(err, REALM_EINVAL, "there is no table %s; see realm help config", table);
}

/* A value of a type that its row has. */
static realm_status put_toml(const place *at, const rl_toml_value *v)
{
    rl_config_type t = at->row->type;
    char digits[24];
    rl_buf give;
    realm_status st;

    if (v->type == RL_TOML_LIST && t == RL_CONFIG_LIST)
        return put_list(at, v->list, v->n_list);
    if (v->type == RL_TOML_BOOL && t == RL_CONFIG_BOOL)
        return put_text(at, v->number ? "true" : "false");
    if (v->type == RL_TOML_TEXT &&
        (t == RL_CONFIG_TEXT || t == RL_CONFIG_WORD || t == RL_CONFIG_SIZE))
        return put_text(at, v->text);
    if (v->type == RL_TOML_INT && (t == RL_CONFIG_INT || t == RL_CONFIG_SIZE)) {
        (void)snprintf(digits, sizeof digits, "%lld", (long long)v->number);
        return put_text(at, digits);
    }
    rl_buf_init(&give, 512);
    expected(&give, at->row);
    st = realm_fail(at->err, REALM_EINVAL, "%s: give %s, %s", at->who,
                    give.data ? give.data : "another",
                    t == RL_CONFIG_LIST                         ? "as [\"a\", \"b\"]"
                    : t == RL_CONFIG_INT || t == RL_CONFIG_BOOL ? "without quotes"
                                                                : "between quotes");
    rl_buf_deinit(&give);
    return st;
}

static realm_status on_key(void *ctx, const char *table, const char *key, const rl_toml_value *v,
                           realm_error *err)
{
    reading *r = ctx;
    place at = { .c = r->c, .who = key, .err = err };
    rl_buf from;

    if (!key)
        return check_table(r->c, table, err);
    at.row = find(r->c, table, key);
    if (!at.row)
        return unknown_key(r->c, table, key, err);
    rl_buf_init(&from, 8192);
    (void)rl_buf_addf(&from, "%s:%u", r->path, v->line);
    if (!from.failed)
        at.from = rl_arena_strndup(&r->c->arena, from.data, from.len);
    rl_buf_deinit(&from);
    return at.from ? put_toml(&at, v) : no_memory(err);
}

realm_status rl_config_read(rl_config *c, const char *path, realm_error *err)
{
    reading r = { .c = c, .path = path };
    rl_buf text;
    realm_status st;

    rl_buf_init(&text, RL_TOML_BYTES + 1);
    st = rl_fs_read(path, &text, err);
    if (st == REALM_OK || st == REALM_ETOOBIG) /* one byte too many shows as many */
        st = rl_toml_parse(text.data, st == REALM_OK ? text.len : RL_TOML_BYTES + 1, path, on_key,
                           &r, err);
    rl_buf_deinit(&text);
    return st == REALM_ENOTFOUND ? REALM_OK : st;
}

/* ---- the other sources ----------------------------------------------------------------------- */

realm_status rl_config_init(rl_config *c, const rl_config_row *rows, size_t n_rows,
                            realm_error *err)
{
    realm_status st = REALM_OK;

    RL_ASSERT(n_rows > 0 && n_rows <= MAX_ROWS);
    *c = (rl_config){ .rows = rows, .n_rows = n_rows };
    c->values = rl_arena_alloc_array(&c->arena, n_rows, sizeof *c->values);
    if (!c->values)
        return no_memory(err);
    for (size_t i = 0; st == REALM_OK && i < n_rows; i++) {
        place at = { .c = c, .row = &rows[i], .who = rows[i].name, .from = "default", .err = err };

        c->values[i].from = at.from;
        if (rows[i].preset)
            st = put_text(&at, rows[i].preset);
        RL_ASSERT(st == REALM_OK || st == REALM_ENOMEM); /* the defaults are ours */
    }
    if (st != REALM_OK)
        rl_config_deinit(c);
    return st;
}

void rl_config_deinit(rl_config *c)
{
    rl_arena_deinit(&c->arena);
    *c = (rl_config){ .rows = NULL };
}

realm_status rl_config_read_env(rl_config *c, const char *prefix, realm_error *err)
{
    realm_status st = REALM_OK;

    for (size_t i = 0; st == REALM_OK && i < c->n_rows; i++) {
        place at = { .c = c, .row = &c->rows[i], .err = err };
        char name[ENV_NAME];
        const char *text;
        int n = snprintf(name, sizeof name, "%s%s", prefix, c->rows[i].name);

        RL_ASSERT(n > 0 && (size_t)n < sizeof name);
        for (char *p = name; *p; p++)
            *p = (char)toupper((unsigned char)*p);
        text = getenv(name);
        if (!text || !*text)
            continue;
        at.who = name;
        at.from = rl_arena_strndup(&c->arena, name, (size_t)n);
        st = at.from ? put_text(&at, text) : no_memory(err);
    }
    return st;
}

realm_status rl_config_set(rl_config *c, const char *flag, const char *text, realm_error *err)
{
    place at = { .c = c, .err = err };
    char *from = rl_arena_alloc(&c->arena, strlen(flag) + 3);

    if (!from)
        return no_memory(err);
    for (size_t i = 0; i < c->n_rows && !at.row; i++)
        if (strcmp(c->rows[i].flag, flag) == 0)
            at.row = &c->rows[i];
    if (!at.row)
        return realm_fail(err, REALM_ENOTFOUND, "--%s is no setting", flag);
    (void)snprintf(from, strlen(flag) + 3, "--%s", flag);
    at.who = at.from = from;
    return put_text(&at, text);
}

const rl_config_value *rl_config_get(const rl_config *c, const char *name)
{
    const rl_config_row *row = find(c, NULL, name);

    RL_ASSERT(row); /* callers ask for rows of their own table */
    return &c->values[row - c->rows];
}
