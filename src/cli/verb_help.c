/* help: the table of verbs for people, and as a man page. */
#include "cli/cli.h"

#include "cli/settings.h"
#include "cli/text.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HELP_MAX ((size_t)1 << 20)
#define COLUMNS  78u
#define MOST     100u /* columns of a wide terminal that lines use */

/* Columns of the help: a terminal's own, within reason. */
static size_t columns(void)
{
    size_t n = rl_text_columns(STDOUT_FILENO);

    return n == 0 ? COLUMNS : n > MOST ? MOST : n < 20 ? 20 : n;
}

typedef struct item {
    char head[RL_CLI_HEAD];
    const char *text;
} item;

/* Heads in one column and their texts wrapped beside it, or below where that is too narrow. */
static void items(rl_buf *out, const item *list, size_t n)
{
    size_t wide = 0, cols = columns(), from;

    for (size_t i = 0; i < n; i++)
        wide = strlen(list[i].head) > wide ? strlen(list[i].head) : wide;
    from = 2 + wide + 2;
    for (size_t i = 0; i < n; i++) {
        if (from + 30 > cols) {
            (void)rl_buf_addf(out, "  %s\n%*s", list[i].head, 6, "");
            rl_text_wrap(out, list[i].text, 6, 6, cols);
        } else {
            (void)rl_buf_addf(out, "  %-*s  ", (int)wide, list[i].head);
            rl_text_wrap(out, list[i].text, from, from, cols);
        }
    }
}

/* Calls put for each paragraph, with what stands between two. */
static void paragraphs(rl_buf *out, const char *text, const char *between,
                       void (*put)(rl_buf *out, const char *paragraph))
{
    char one[1024];

    while (*text) {
        size_t n = strcspn(text, "\n");

        (void)snprintf(one, sizeof one, "%.*s", (int)n, text);
        put(out, one);
        text += n + (text[n] == '\n');
        (void)rl_buf_adds(out, *text ? between : "");
    }
}

static void wrapped(rl_buf *out, const char *paragraph)
{
    rl_text_wrap(out, paragraph, 0, 0, columns());
}

static void rows(rl_buf *out, const rl_verb *v)
{
    item list[RL_CLI_MAX_SET];
    size_t n = 0;

    if (!v->list)
        return;
    while (n < RL_CLI_MAX_SET && v->row(n, list[n].head, &list[n].text))
        n++;
    (void)rl_buf_addf(out, "\n%s:\n", v->list);
    items(out, list, n);
}

static void options(rl_buf *out, const rl_verb *v)
{
    item list[RL_CLI_MAX_SET];
    size_t n = 0;

    if (!v->opts->name)
        return;
    (void)rl_buf_adds(out, "\noptions:\n");
    for (const rl_opt *o = v->opts; o->name && n < RL_CLI_MAX_SET; o++) {
        char letter[4] = "";

        if (o->letter)
            (void)snprintf(letter, sizeof letter, "-%c,", o->letter);
        (void)snprintf(list[n].head, sizeof list[n].head, "%-3s --%s%s%s", letter, o->name,
                       o->value ? " " : "", o->value ? o->value : "");
        list[n++].text = o->text;
    }
    items(out, list, n);
}

static void examples(rl_buf *out, const char *text, const char *indent)
{
    while (*text) {
        size_t n = strcspn(text, "\n");

        (void)rl_buf_addf(out, "%s%.*s\n", indent, (int)n, text);
        text += n + (text[n] == '\n');
    }
}

static void one_verb(rl_buf *out, const rl_verb *v)
{
    (void)rl_buf_addf(out, "realm %s: %s\n\n", v->name, v->summary);
    (void)rl_buf_addf(out, "usage: realm %s%s%s\n\n", v->name, *v->synopsis ? " " : "",
                      v->synopsis);
    paragraphs(out, v->about, "\n", wrapped);
    rows(out, v);
    options(out, v);
    (void)rl_buf_adds(out, "\nexample:\n");
    examples(out, v->example, "  ");
}

static void all_verbs(rl_buf *out)
{
    item list[RL_CLI_MAX_VERBS];
    size_t n = 0;

    (void)rl_buf_adds(out, "realm runs WebAssembly programs that call language models.\n\n"
                           "usage: realm VERB ...\n\nverbs:\n");
    for (; n < rl_n_verbs && n < RL_CLI_MAX_VERBS; n++) {
        (void)snprintf(list[n].head, sizeof list[n].head, "%s", rl_verbs[n].name);
        list[n].text = rl_verbs[n].summary;
    }
    items(out, list, n);
    (void)rl_buf_adds(out, "\nfirst steps:\n"
                           "  realm import FILE.gguf --name mymodel\n"
                           "  realm chat mymodel\n"
                           "\nmore about a verb: realm help VERB\n");
}

/* ---- man page (mdoc) ------------------------------------------------------------------------- */

/* Text of a macro line or paragraph: a backslash, and a dot or quote at its beginning, are special.
 */
static void roff(rl_buf *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        (void)rl_buf_adds(out, "\\&");
    for (; *text; text++) {
        if (*text == '\\')
            (void)rl_buf_adds(out, "\\e");
        else if (*text == '-')
            (void)rl_buf_adds(out, "\\-");
        else
            (void)rl_buf_add(out, text, 1);
    }
}

static void man_option(rl_buf *out, const rl_opt *o)
{
    (void)rl_buf_adds(out, ".It ");
    if (o->letter)
        (void)rl_buf_addf(out, "Fl %c , ", o->letter);
    (void)rl_buf_addf(out, "Fl Fl %s", o->name);
    if (o->value)
        (void)rl_buf_addf(out, " Ar \"%s\"", o->value);
    (void)rl_buf_adds(out, "\n");
    roff(out, o->text);
    (void)rl_buf_adds(out, ".\n");
}

static void man_paragraph(rl_buf *out, const char *text)
{
    roff(out, text);
    (void)rl_buf_adds(out, "\n");
}

static void man_rows(rl_buf *out, const rl_verb *v)
{
    char head[RL_CLI_HEAD];
    const char *text;

    if (!v->list)
        return;
    (void)rl_buf_addf(out, ".Pp\nThe %s:\n.Bl -tag -width Ds\n", v->list);
    for (size_t i = 0; v->row(i, head, &text); i++) {
        (void)rl_buf_adds(out, ".It ");
        roff(out, head);
        (void)rl_buf_adds(out, "\n");
        roff(out, text);
        (void)rl_buf_adds(out, ".\n");
    }
    (void)rl_buf_adds(out, ".El\n.Pp\nThe options:\n");
}

/* "list the models" -> "List the models." */
static void sentence(rl_buf *out, const char *text)
{
    char first = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;

    (void)rl_buf_add(out, &first, 1);
    roff(out, text + 1);
    (void)rl_buf_adds(out, ".\n");
}

static void man_verb(rl_buf *out, const rl_verb *v)
{
    (void)rl_buf_addf(out, ".Ss realm %s%s%s\n", v->name, *v->synopsis ? " " : "", v->synopsis);
    sentence(out, v->summary);
    paragraphs(out, v->about, ".Pp\n", man_paragraph);
    man_rows(out, v);
    if (v->opts->name) {
        (void)rl_buf_adds(out, ".Bl -tag -width Ds\n");
        for (const rl_opt *o = v->opts; o->name; o++)
            man_option(out, o);
        (void)rl_buf_adds(out, ".El\n");
    }
    (void)rl_buf_adds(out, ".Bd -literal -offset indent\n");
    for (const char *p = v->example; *p;) {
        char line[512];
        size_t n = strcspn(p, "\n");

        (void)snprintf(line, sizeof line, "%.*s", (int)n, p);
        roff(out, line);
        (void)rl_buf_adds(out, "\n");
        p += n + (p[n] == '\n');
    }
    (void)rl_buf_adds(out, ".Ed\n");
}

static const char man_head[] =
    ".\\\" Written by \"realm help --man\" from the table of verbs; change it there.\n"
    ".Dd November 22, 2026\n.Dt REALM 1\n.Os\n"
    ".Sh NAME\n.Nm realm\n.Nd WebAssembly programs that call language models\n"
    ".Sh SYNOPSIS\n.Nm\n.Ar verb\n.Op Ar argument ...\n"
    ".Sh DESCRIPTION\n"
    ".Nm\nruns small sandboxed programs that leave everything a language model does to the host.\n"
    "Models are imported once into a registry and then known by name.\n"
    "Results go to standard output, everything else to standard error.\n"
    "Sizes are written like 64MiB, times like 300s or 5m.\n"
    ".Sh VERBS\n";

static const char man_config[] =
    ".Sh CONFIGURATION\n"
    "Settings come from\n.Pa /etc/realm/realm.toml ,\n"
    ".Pa $XDG_CONFIG_HOME/realm/realm.toml\n(default ~/.config),\n"
    "the environment and the options of a verb, each over those before it.\n"
    "Below,\n.Va table.name\nis the key\n.Va name\nbelow the line\n.Va [table]\n"
    "of such a file and\n.Ev REALM_NAME\nin the environment.\n"
    "Those marked * take effect when a server gets SIGHUP; the others when it is started again.\n"
    ".Bl -tag -width Ds\n";

static void man_settings(rl_buf *out)
{
    (void)rl_buf_adds(out, man_config);
    for (size_t i = 0; i < rl_n_settings; i++) {
        const rl_config_row *row = &rl_settings[i];

        (void)rl_buf_addf(out, ".It Va %s%s%s%s\n", row->table, *row->table ? "." : "", row->name,
                          row->reloadable ? " *" : "");
        roff(out, row->text);
        (void)rl_buf_adds(out, ".\n");
    }
    (void)rl_buf_adds(out, ".El\n");
}

static const char man_tail[] =
    ".Sh ENVIRONMENT\n.Bl -tag -width REALM_HOME\n"
    ".It Ev REALM_HOME\nThe folder of models and the registry.\n"
    ".It Ev REALM_CPU\nThe highest level of kernels to use: ref, avx2 or avx512.\n"
    ".It Ev XDG_STATE_HOME\nWhere chat keeps its history, in realm/chat_history (default "
    "~/.local/state);\n"
    "with --home it lies there.\n"
    ".It Ev NO_COLOR\nNo dim text when it is set and not empty.\n"
    ".It Ev NOTIFY_SOCKET , WATCHDOG_USEC\nSet by a service manager for serve.\n.El\n"
    ".Sh FILES\n.Bl -tag -width realm.db\n"
    ".It Pa /etc/realm/realm.toml , $XDG_CONFIG_HOME/realm/realm.toml\nSettings.\n"
    ".It Pa $REALM_HOME/models\nPacked models.\n"
    ".It Pa $REALM_HOME/programs\nInstalled programs.\n"
    ".It Pa $REALM_HOME/realm.db\nThe registry: names of models and programs, digests of keys.\n"
    ".It Pa $REALM_HOME/compiled\nCompiled programs.\n"
    ".It Pa $REALM_HOME/run\nWhat servers that run say of themselves, for realm ps.\n.El\n"
    ".Sh EXIT STATUS\n.Bl -tag -width 130 -compact\n"
    ".It 0\nIt worked.\n.It 1\nIt failed; the reason is on standard error.\n"
    ".It 2\nWrong usage.\n.It 130\nStopped by Ctrl-C.\n.El\n";

static void man_page(rl_buf *out)
{
    (void)rl_buf_adds(out, man_head);
    for (size_t i = 0; i < rl_n_verbs; i++)
        man_verb(out, &rl_verbs[i]);
    man_settings(out);
    (void)rl_buf_adds(out, man_tail);
}

int rl_help_first(void)
{
    rl_buf out;

    rl_buf_init(&out, HELP_MAX);
    all_verbs(&out);
    (void)fprintf(stderr, "realm: say what to do\n\n%s", out.data ? out.data : "");
    rl_buf_deinit(&out);
    return RL_EXIT_USAGE;
}

int rl_verb_help(rl_cli *c)
{
    const rl_verb *v = NULL;
    rl_buf out;

    if (c->n_pos) {
        v = rl_verb_find(c->pos[0]);
        if (!v)
            return rl_cli_usage(NULL, "there is no verb %s", c->pos[0]);
    }
    rl_buf_init(&out, HELP_MAX);
    if (rl_cli_has(c, "man"))
        man_page(&out);
    else if (v)
        one_verb(&out, v);
    else
        all_verbs(&out);
    return rl_cli_print(&out);
}
