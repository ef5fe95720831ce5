#include "base/toml.h"

#include "base/arena.h"
#include "base/utf8.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* A table (name "") or a key that was there already. */
typedef struct seen {
    const char *table, *name; /* of the arena */
    unsigned line;
    struct seen *next;
} seen;

typedef struct parser {
    const char *p, *end;
    unsigned line;
    const char *file;
    const char *table; /* the present one; of the arena */
    seen *seen;        /* newest first */
    size_t n_seen;
    const char *list[RL_TOML_ITEMS];
    rl_arena arena; /* owned */
    rl_toml_fn fn;
    void *ctx;
    realm_error *err;
} parser;

static realm_status bad(parser *ps, const char *fmt, ...) REALM_PRINTF(2, 3);

static realm_status bad(parser *ps, const char *fmt, ...)
{
    char why[200];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    return realm_fail(ps->err, REALM_EINVAL, "%.100s:%u: %s", ps->file, ps->line, why);
}

static realm_status no_memory(parser *ps)
{
    return realm_fail(ps->err, REALM_ENOMEM, "%.100s: no memory to read it", ps->file);
}

/* ---- characters ------------------------------------------------------------------------------ */

/* UTF-8 without control characters, so nothing below meets others than tab and whole newlines. */
static realm_status check_text(parser *ps)
{
    for (const char *p = ps->p; p < ps->end;) {
        uint32_t cp;
        int n = rl_utf8_next(p, (size_t)(ps->end - p), &cp);

        if (n <= 0)
            return bad(ps, "this line is not UTF-8");
        if (cp == '\r' && (p + 1 == ps->end || p[1] != '\n'))
            return bad(ps, "a carriage return without a newline");
        if ((cp < ' ' && cp != '\t' && cp != '\n' && cp != '\r') || cp == 0x7f)
            return bad(ps, "the control character %u; write it as \\u%04X in a text", (unsigned)cp,
                       (unsigned)cp);
        ps->line += cp == '\n';
        p += n;
    }
    ps->line = 1;
    return REALM_OK;
}

/* The next character; 0 at the end, which no character is. */
static char peek(const parser *ps)
{
    return ps->p < ps->end ? *ps->p : 0;
}

static bool at_line_end(const parser *ps)
{
    char c = peek(ps);

    return c == 0 || c == '\n' || c == '\r';
}

static bool skip(parser *ps, char c)
{
    if (peek(ps) != c)
        return false;
    ps->p++;
    return true;
}

static void skip_space(parser *ps)
{
    while (peek(ps) == ' ' || peek(ps) == '\t')
        ps->p++;
}

static void skip_comment(parser *ps)
{
    if (peek(ps) == '#')
        while (!at_line_end(ps))
            ps->p++;
}

/* -> false: there is no newline here */
static bool skip_newline(parser *ps)
{
    (void)skip(ps, '\r');
    if (!skip(ps, '\n'))
        return false;
    ps->line++;
    return true;
}

/* Space, comments and empty lines. */
static void skip_blank(parser *ps)
{
    do {
        skip_space(ps);
        skip_comment(ps);
    } while (skip_newline(ps));
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* n hexadecimal digits; false: they are not. */
static bool hex(const char *s, const char *end, unsigned n, uint32_t *v)
{
    *v = 0;
    for (unsigned i = 0; i < n; i++) {
        char c = s + i < end ? s[i] : 0;
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;

        if (d < 0)
            return false;
        *v = *v << 4 | (uint32_t)d;
    }
    return true;
}

/* \u and \U: a character by its number. Moves *s past it and *out past its bytes. */
static realm_status escape_number(parser *ps, const char **s, const char *end, unsigned n,
                                  char **out)
{
    uint32_t cp;

    if (!hex(*s, end, n, &cp))
        return bad(ps, "\\%c needs %u hexadecimal digits", n == 4 ? 'u' : 'U', n);
    if (cp == 0)
        return bad(ps, "a text cannot hold the character 0");
    if (cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        return bad(ps, "\\%c%.*s is no character", n == 4 ? 'u' : 'U', (int)n, *s);
    *s += n;
    *out += rl_utf8_put(cp, *out);
    return REALM_OK;
}

/* What follows a backslash. */
static realm_status escape(parser *ps, const char **s, const char *end, char **out)
{
    static const char names[] = "btnfr\"\\", meaning[] = "\b\t\n\f\r\"\\";
    char c = *(*s)++;
    const char *at = c ? strchr(names, c) : NULL;

    if (at)
        *(*out)++ = meaning[at - names];
    else if (c == 'u' || c == 'U')
        return escape_number(ps, s, end, c == 'u' ? 4 : 8, out);
    else
        return bad(ps, "there is no escape \\%c; a backslash is \\\\, or the text goes between '",
                   c > ' ' && c < 0x7f ? c : '?');
    return REALM_OK;
}

/* The text between two `quote`s; a text in double quotes has escapes, each longer than what it
 * stands for. */
static realm_status unquote(parser *ps, const char *s, const char *end, bool escapes,
                            const char **text)
{
    char *out = rl_arena_alloc(&ps->arena, (size_t)(end - s) + 1), *to = out;
    realm_status st = REALM_OK;

    if (!out)
        return no_memory(ps);
    while (st == REALM_OK && s < end) {
        if (escapes && *s == '\\') {
            s++;
            st = escape(ps, &s, end, &to);
        } else {
            *to++ = *s++;
        }
    }
    *to = 0;
    *text = out;
    return st;
}

static realm_status parse_text(parser *ps, const char **text)
{
    char quote = *ps->p++;
    const char *from = ps->p;
    realm_status st;

    while (!at_line_end(ps) && *ps->p != quote) {
        bool escaped = quote == '"' && *ps->p == '\\';

        ps->p++;
        if (escaped && !at_line_end(ps))
            ps->p++;
    }
    if (peek(ps) != quote)
        return bad(ps, "the text does not end on its line with %c", quote);
    if (ps->p == from && ps->p + 1 < ps->end && ps->p[1] == quote)
        return bad(ps, "texts of several lines are not supported; write one line with \\n");
    st = unquote(ps, from, ps->p, quote == '"', text);
    ps->p++;
    return st;
}

/* ---- other values ---------------------------------------------------------------------------- */

static const char only_whole[] = "numbers are whole, in decimal and without units; anything else "
                                 "goes between quotes";

/* One digit more, in negative numbers, which reach one further. -> false: too large */
static bool add_digit(int64_t *v, char digit)
{
    int64_t d = digit - '0';

    if (*v < (INT64_MIN + d) / 10)
        return false;
    *v = *v * 10 - d;
    return true;
}

static realm_status parse_int(parser *ps, int64_t *v)
{
    bool minus = peek(ps) == '-', fits = true;
    const char *from;

    if (minus || peek(ps) == '+')
        ps->p++;
    from = ps->p;
    *v = 0;
    while (peek(ps) >= '0' && peek(ps) <= '9') {
        fits = fits && add_digit(v, *ps->p++);
        if (!fits)
            return bad(ps, "the number is too large");
        if (peek(ps) == '_' && ps->p + 1 < ps->end && ps->p[1] >= '0' && ps->p[1] <= '9')
            ps->p++;
    }
    if (ps->p == from || name_char(peek(ps)) || peek(ps) == '.' || peek(ps) == ':')
        return bad(ps, "%s", only_whole);
    if (*from == '0' && ps->p > from + 1)
        return bad(ps, "the number begins with 0");
    if (!minus && *v == INT64_MIN)
        return bad(ps, "the number is too large");
    if (!minus)
        *v = -*v;
    return REALM_OK;
}

static realm_status parse_word(parser *ps, rl_toml_value *v)
{
    const char *from = ps->p;
    size_t n;

    while (name_char(peek(ps)))
        ps->p++;
    n = (size_t)(ps->p - from);
    v->type = RL_TOML_BOOL;
    v->number = n == 4 && memcmp(from, "true", 4) == 0;
    if (v->number || (n == 5 && memcmp(from, "false", 5) == 0))
        return REALM_OK;
    return bad(ps, "this is no value; a text goes between quotes");
}

static realm_status parse_list(parser *ps, rl_toml_value *v)
{
    realm_status st;

    ps->p++;
    v->type = RL_TOML_LIST;
    v->list = ps->list;
    for (;;) {
        skip_blank(ps);
        if (skip(ps, ']'))
            return REALM_OK;
        if (peek(ps) != '"' && peek(ps) != '\'')
            return bad(ps, peek(ps) ? "a list holds texts, each between quotes"
                                    : "the list does not end: ] is missing");
        if (v->n_list == RL_TOML_ITEMS)
            return bad(ps, "a list holds at most %u texts", RL_TOML_ITEMS);
        st = parse_text(ps, &ps->list[v->n_list++]);
        if (st != REALM_OK)
            return st;
        skip_blank(ps);
        if (!skip(ps, ',') && peek(ps) != ']')
            return bad(ps, "after a text of a list comes a comma or ]");
    }
}

static realm_status parse_value(parser *ps, rl_toml_value *v)
{
    char c = peek(ps);

    if (at_line_end(ps) || c == '#')
        return bad(ps, "the value is missing");
    if (c == '"' || c == '\'') {
        v->type = RL_TOML_TEXT;
        return parse_text(ps, &v->text);
    }
    if (c == '[')
        return parse_list(ps, v);
    if (c == '{')
        return bad(ps, "tables on one line are not supported; write [table] above its keys");
    if (c == '+' || c == '-' || (c >= '0' && c <= '9')) {
        v->type = RL_TOML_INT;
        return parse_int(ps, &v->number);
    }
    return parse_word(ps, v);
}

/* ---- lines ----------------------------------------------------------------------------------- */

static realm_status parse_name(parser *ps, const char *what, const char **name)
{
    const char *from = ps->p;
    size_t n;

    while (name_char(peek(ps)))
        ps->p++;
    n = (size_t)(ps->p - from);
    if (n == 0 && (peek(ps) == '"' || peek(ps) == '\''))
        return bad(ps, "a %s has no quotes around its name", what);
    if (n == 0)
        return bad(ps, "the name of a %s has letters, digits, _ and -", what);
    if (n > RL_TOML_NAME)
        return bad(ps, "the name of a %s is longer than %u characters", what, RL_TOML_NAME);
    *name = rl_arena_strndup(&ps->arena, from, n);
    return *name ? REALM_OK : no_memory(ps);
}

static realm_status remember(parser *ps, const char *table, const char *name, const char *what)
{
    seen *s;

    for (s = ps->seen; s; s = s->next) {
        if (strcmp(s->table, table) == 0 && strcmp(s->name, name) == 0)
            return bad(ps, "the %s %s is there already, in line %u", what, name, s->line);
    }
    if (ps->n_seen++ == RL_TOML_NAMES)
        return bad(ps, "more than %u tables and keys", RL_TOML_NAMES);
    s = rl_arena_alloc(&ps->arena, sizeof *s);
    if (!s)
        return no_memory(ps);
    *s = (seen){ .table = table, .name = name, .line = ps->line, .next = ps->seen };
    ps->seen = s;
    return REALM_OK;
}

static realm_status tell(parser *ps, const char *key, const rl_toml_value *v)
{
    realm_error why = { .text = "" };
    realm_status st = ps->fn(ps->ctx, ps->table, key, v, &why);

    if (st == REALM_OK)
        return REALM_OK;
    return realm_fail(ps->err, st, "%.100s:%u: %s", ps->file, v ? v->line : ps->line, why.text);
}

/* [table]; a table has its name among the keys above the first one. */
static realm_status parse_header(parser *ps)
{
    realm_status st;

    ps->p++;
    if (peek(ps) == '[')
        return bad(ps, "lists of tables are not supported");
    skip_space(ps);
    st = parse_name(ps, "table", &ps->table);
    if (st != REALM_OK)
        return st;
    skip_space(ps);
    if (peek(ps) == '.')
        return bad(ps, "tables inside of tables are not supported");
    if (!skip(ps, ']'))
        return bad(ps, "after the name of a table comes ]");
    st = remember(ps, "", ps->table, "name");
    return st == REALM_OK ? tell(ps, NULL, NULL) : st;
}

static realm_status parse_key(parser *ps)
{
    rl_toml_value v = { .line = ps->line };
    const char *key = "";
    realm_status st = parse_name(ps, "key", &key);

    if (st != REALM_OK)
        return st;
    skip_space(ps);
    if (peek(ps) == '.')
        return bad(ps, "names with dots are not supported; write [%s] and the rest below it", key);
    if (!skip(ps, '='))
        return bad(ps, "after the name %s comes = and a value", key);
    skip_space(ps);
    st = remember(ps, ps->table, key, "name");
    if (st == REALM_OK)
        st = parse_value(ps, &v);
    return st == REALM_OK ? tell(ps, key, &v) : st;
}

static realm_status parse_lines(parser *ps)
{
    realm_status st = REALM_OK;

    while (st == REALM_OK) {
        skip_blank(ps);
        if (ps->p == ps->end)
            return REALM_OK;
        st = peek(ps) == '[' ? parse_header(ps) : parse_key(ps);
        if (st != REALM_OK)
            return st;
        skip_space(ps);
        skip_comment(ps);
        if (!at_line_end(ps))
            st = bad(ps, "nothing more comes on this line but a comment");
    }
    return st;
}

realm_status rl_toml_parse(const char *text, size_t n, const char *file, rl_toml_fn fn, void *ctx,
                           realm_error *err)
{
    parser ps = { .p = n ? text : "", .line = 1, .file = file };
    realm_status st;

    if (n > RL_TOML_BYTES)
        return realm_fail(err, REALM_EINVAL, "%.100s: over %zu KiB", file, RL_TOML_BYTES >> 10);
    ps.end = ps.p + n;
    ps.table = "";
    ps.fn = fn;
    ps.ctx = ctx;
    ps.err = err;
    st = check_text(&ps);
    if (st == REALM_OK)
        st = parse_lines(&ps);
    rl_arena_deinit(&ps.arena);
    return st;
}
