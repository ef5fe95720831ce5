/* help: the table of verbs for people, and as a man page. */
#include "cli/cli.h"

#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#define HELP_MAX ((size_t)1 << 20)
#define COLUMN   78u

/* Text in lines of at most COLUMN characters, each after `indent`. */
static void wrapped(rl_buf *out, const char *text, const char *indent)
{
    size_t at = 0;

    while (*text) {
        size_t n = strcspn(text, " ");

        if (at && at + 1 + n > COLUMN) {
            (void)rl_buf_adds(out, "\n");
            at = 0;
        }
        (void)rl_buf_adds(out, at ? " " : indent);
        at += at ? 1 : strlen(indent);
        (void)rl_buf_add(out, text, n);
        at += n;
        text += n + (text[n] == ' ');
    }
    (void)rl_buf_adds(out, "\n");
}

static void options(rl_buf *out, const rl_verb *v)
{
    rl_table t;

    if (!v->opts->name)
        return;
    (void)rl_buf_adds(out, "\noptions:\n");
    rl_table_init(&t, "ll");
    for (const rl_opt *o = v->opts; o->name; o++) {
        char letter[4] = "";

        if (o->letter)
            (void)snprintf(letter, sizeof letter, "-%c,", o->letter);
        rl_table_addf(&t, "%-3s --%s%s%s", letter, o->name, o->value ? " " : "",
                      o->value ? o->value : "");
        rl_table_add(&t, o->text);
    }
    rl_table_show(&t, "  ", out);
    rl_table_deinit(&t);
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
    wrapped(out, v->about, "");
    options(out, v);
    (void)rl_buf_adds(out, "\nexample:\n");
    examples(out, v->example, "  ");
}

static void all_verbs(rl_buf *out)
{
    rl_table t;

    (void)rl_buf_adds(out, "realm runs WebAssembly programs that call language models.\n\n"
                           "usage: realm VERB ...\n\nverbs:\n");
    rl_table_init(&t, "ll");
    for (size_t i = 0; i < rl_n_verbs; i++) {
        rl_table_add(&t, rl_verbs[i].name);
        rl_table_add(&t, rl_verbs[i].summary);
    }
    rl_table_show(&t, "  ", out);
    rl_table_deinit(&t);
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

static void man_verb(rl_buf *out, const rl_verb *v)
{
    (void)rl_buf_addf(out, ".Ss realm %s %s\n", v->name, v->synopsis);
    roff(out, v->about);
    (void)rl_buf_adds(out, "\n");
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

static const char man_tail[] =
    ".Sh ENVIRONMENT\n.Bl -tag -width REALM_HOME\n"
    ".It Ev REALM_HOME\nThe folder of models and the registry.\n"
    ".It Ev REALM_CPU\nThe highest level of kernels to use: ref, avx2 or avx512.\n.El\n"
    ".Sh FILES\n.Bl -tag -width realm.db\n"
    ".It Pa $REALM_HOME/models\nPacked models.\n"
    ".It Pa $REALM_HOME/realm.db\nThe registry.\n"
    ".It Pa $REALM_HOME/compiled\nCompiled programs.\n.El\n"
    ".Sh EXIT STATUS\n.Bl -tag -width 130 -compact\n"
    ".It 0\nIt worked.\n.It 1\nIt failed; the reason is on standard error.\n"
    ".It 2\nWrong usage.\n.It 130\nStopped by Ctrl-C.\n.El\n";

static void man_page(rl_buf *out)
{
    (void)rl_buf_adds(out, man_head);
    for (size_t i = 0; i < rl_n_verbs; i++)
        man_verb(out, &rl_verbs[i]);
    (void)rl_buf_adds(out, man_tail);
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
