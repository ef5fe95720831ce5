/* The line editor. At its prompt Ctrl-C is a key, not a signal: it empties the line, and leaves
 * when the line is empty. So the terminal is always put back in order. */
#include "cli/editor.h"

#include "base/alloc.h"
#include "base/fs.h"

#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY        1000
#define LINE_MAX_BYTES ((size_t)64 << 20)

struct rl_editor {
    bool person;
    bool continued; /* the prompt is that of a further line */
    bool interrupted;
    EditLine *el;
    History *history;
    char *path;  /* owned; of the history file, NULL: none */
    rl_buf line; /* of a pipe */
};

static char *prompt(EditLine *el)
{
    static char first[] = "> ", more[] = ". ";
    rl_editor *e = NULL;

    (void)el_get(el, EL_CLIENTDATA, &e);
    return e && e->continued ? more : first;
}

static unsigned char on_ctrl_c(EditLine *el, int ch)
{
    const LineInfo *line = el_line(el);
    rl_editor *e = NULL;

    (void)ch;
    (void)el_get(el, EL_CLIENTDATA, &e);
    if (line->lastchar == line->buffer && !e->continued) {
        e->interrupted = true;
        return CC_EOF;
    }
    el_cursor(el, (int)(line->lastchar - line->cursor));
    el_deletestr(el, (int)(line->lastchar - line->buffer));
    return CC_REDISPLAY;
}

static char *joined(const char *a, const char *b)
{
    size_t n = strlen(a) + strlen(b) + 1;
    char *p = rl_alloc(n);

    if (p)
        (void)snprintf(p, n, "%s%s", a, b);
    return p;
}

/* Histories hold what people wrote: the file is private (mode 0600), its folder too. */
static char *history_path(const char *folder)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *dir = folder            ? joined(folder, "")
                : state && *state ? joined(state, "/realm")
                : home && *home   ? joined(home, "/.local/state/realm")
                                  : NULL;
    char *path = NULL;

    if (dir && rl_fs_mkdirs(dir, NULL) == REALM_OK)
        path = joined(dir, "/chat_history");
    rl_free(dir);
    return path;
}

/* libedit reads characters by the locale and drops what is none of it: without a UTF-8 locale in
 * the environment, "größe" would arrive as "gre". */
static void read_utf8(void)
{
    if (!setlocale(LC_CTYPE, "") || strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
}

static bool init_person(rl_editor *e, const char *folder)
{
    HistEvent ev;

    read_utf8();
    e->history = history_init();
    e->el = el_init("realm", stdin, stdout, stderr);
    if (!e->el || !e->history)
        return false;
    (void)history(e->history, &ev, H_SETSIZE, HISTORY);
    (void)history(e->history, &ev, H_SETUNIQUE, 1);
    e->path = history_path(folder);
    if (e->path)
        (void)history(e->history, &ev, H_LOAD, e->path);
    (void)el_set(e->el, EL_CLIENTDATA, e);
    (void)el_set(e->el, EL_PROMPT, prompt);
    (void)el_set(e->el, EL_EDITOR, "emacs");
    (void)el_set(e->el, EL_HIST, history, e->history);
    (void)el_set(e->el, EL_ADDFN, "realm-interrupt", "empties the line or leaves", on_ctrl_c);
    (void)el_set(e->el, EL_BIND, "^C", "realm-interrupt", NULL);
    (void)el_set(e->el, EL_BIND, "^R", "em-inc-search-prev", NULL);
    (void)el_set(e->el, EL_SETTY, "-d", "-isig", NULL);
    return true;
}

rl_editor *rl_editor_open(bool person, const char *folder)
{
    rl_editor *e = rl_alloc(sizeof *e);

    if (!e)
        return NULL;
    rl_buf_init(&e->line, LINE_MAX_BYTES);
    e->person = person;
    if (person && !init_person(e, folder)) {
        rl_editor_close(e);
        return NULL;
    }
    return e;
}

void rl_editor_close(rl_editor *e)
{
    if (!e)
        return;
    if (e->el)
        el_end(e->el);
    if (e->history)
        history_end(e->history);
    rl_buf_deinit(&e->line);
    rl_free(e->path);
    rl_free(e);
}

/* A line of a pipe, with its end. -> false at the end of input */
static bool read_plain(rl_buf *line)
{
    int ch;

    rl_buf_clear(line);
    while ((ch = getc(stdin)) != EOF) {
        char byte = (char)ch;

        if (rl_buf_add(line, &byte, 1) != REALM_OK || ch == '\n')
            break;
    }
    return line->len > 0 && !line->failed;
}

/* One line without its end, borrowed. -> false at the end of input */
static bool read_line(rl_editor *e, const char **p, size_t *n)
{
    int count = 0;

    if (e->person) {
        /* Keys are keys before the prompt invites them: libedit itself only changes the terminal
         * when it reads the first one. */
        (void)el_set(e->el, EL_PREP_TERM, 1);
        *p = el_gets(e->el, &count);
        if (!*p || count <= 0) {
            (void)fputs("\n", stderr);
            return false;
        }
        *n = (size_t)count;
    } else {
        if (!read_plain(&e->line))
            return false;
        *p = e->line.data;
        *n = e->line.len;
    }
    while (*n && ((*p)[*n - 1] == '\n' || (*p)[*n - 1] == '\r'))
        --*n;
    return true;
}

static void remember(rl_editor *e, const rl_buf *message)
{
    HistEvent ev;

    if (!e->person || !message->len)
        return;
    (void)history(e->history, &ev, H_ENTER, message->data);
    if (e->path)
        (void)history(e->history, &ev, H_SAVE, e->path);
}

bool rl_editor_read(rl_editor *e, rl_buf *message)
{
    const char *p;
    size_t n;

    rl_buf_clear(message);
    e->continued = false;
    while (read_line(e, &p, &n)) {
        bool more = n && p[n - 1] == '\\';

        (void)rl_buf_add(message, p, more ? n - 1 : n);
        if (!more) {
            remember(e, message);
            return !message->failed;
        }
        (void)rl_buf_add(message, "\n", 1);
        e->continued = true;
    }
    return false;
}

bool rl_editor_interrupted(const rl_editor *e)
{
    return e->interrupted;
}
