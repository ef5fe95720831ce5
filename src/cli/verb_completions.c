/* completions: scripts for shells, from the table of verbs. */
#include "cli/cli.h"

#include <string.h>

#define SCRIPT_MAX ((size_t)1 << 20)

static bool takes_model(const rl_verb *v)
{
    return v->first && strcmp(v->first, "models") == 0;
}

static void verb_names(rl_buf *out)
{
    for (size_t i = 0; i < rl_n_verbs; i++)
        (void)rl_buf_addf(out, "%s%s", i ? " " : "", rl_verbs[i].name);
}

/* The words that a first argument may be, when the table knows them. */
static void words(rl_buf *out, const rl_verb *v)
{
    if (v->first && strcmp(v->first, "verbs") == 0)
        verb_names(out);
    else if (v->first && !takes_model(v))
        (void)rl_buf_adds(out, v->first);
}

static bool has_words(const rl_verb *v)
{
    return v->first && !takes_model(v);
}

static void option_names(rl_buf *out, const rl_verb *v)
{
    for (const rl_opt *o = v->opts; o->name; o++)
        (void)rl_buf_addf(out, "%s--%s", o == v->opts ? "" : " ", o->name);
}

static const char names_of_models[] =
    "realm models --json 2>/dev/null | grep -o '\"name\":\"[^\"]*\"' | cut -d'\"' -f4";

static void bash(rl_buf *out)
{
    (void)rl_buf_addf(
        out, "_realm() {\n"
             "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} models=\n"
             "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
             "        COMPREPLY=($(compgen -W \"");
    verb_names(out);
    (void)rl_buf_addf(out,
                      "\" -- \"$word\"))\n        return\n    fi\n"
                      "    case \"$before\" in --model|-m) models=$(%s) ;; esac\n"
                      "    local options=\n    case \"${COMP_WORDS[1]}\" in\n",
                      names_of_models);
    for (size_t i = 0; i < rl_n_verbs; i++) {
        (void)rl_buf_addf(out, "    %s) options=\"", rl_verbs[i].name);
        option_names(out, &rl_verbs[i]);
        (void)rl_buf_adds(out, " ");
        words(out, &rl_verbs[i]);
        (void)rl_buf_addf(out, "\"%s%s%s ;;\n", takes_model(&rl_verbs[i]) ? "; models=$(" : "",
                          takes_model(&rl_verbs[i]) ? names_of_models : "",
                          takes_model(&rl_verbs[i]) ? ")" : "");
    }
    (void)rl_buf_adds(out, "    esac\n"
                           "    COMPREPLY=($(compgen -W \"$options $models\" -- \"$word\"))\n}\n"
                           "complete -o default -F _realm realm\n");
}

/* Text between single quotes of zsh and fish; brackets and colons mean something in zsh. */
static void quoted(rl_buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            (void)rl_buf_adds(out, "'\\''");
        else if (*text == '[' || *text == ']' || *text == ':')
            (void)rl_buf_addf(out, "\\%c", *text);
        else
            (void)rl_buf_add(out, text, 1);
    }
}

static void zsh(rl_buf *out)
{
    (void)rl_buf_addf(out,
                      "#compdef realm\n_realm_models() {\n    compadd -- $(%s)\n}\n"
                      "_realm() {\n    if (( CURRENT == 2 )); then\n        local -a verbs\n"
                      "        verbs=(\n",
                      names_of_models);
    for (size_t i = 0; i < rl_n_verbs; i++) {
        (void)rl_buf_addf(out, "            '%s:", rl_verbs[i].name);
        quoted(out, rl_verbs[i].summary);
        (void)rl_buf_adds(out, "'\n");
    }
    (void)rl_buf_adds(out, "        )\n        _describe verb verbs\n        return\n    fi\n"
                           "    local verb=${words[2]}\n    shift words; (( CURRENT-- ))\n"
                           "    case $verb in\n");
    for (size_t i = 0; i < rl_n_verbs; i++) {
        const rl_verb *v = &rl_verbs[i];

        (void)rl_buf_addf(out, "    %s) _arguments", v->name);
        for (const rl_opt *o = v->opts; o->name; o++) {
            (void)rl_buf_addf(out, " \\\n        '--%s[", o->name);
            quoted(out, o->text);
            (void)rl_buf_addf(out, "]%s'",
                              !o->value                       ? ""
                              : strcmp(o->name, "model") == 0 ? ":model:_realm_models"
                                                              : ":value:_files");
        }
        (void)rl_buf_adds(out, " \\\n        '*:argument:");
        if (has_words(v)) {
            (void)rl_buf_adds(out, "(");
            words(out, v);
            (void)rl_buf_adds(out, ")");
        } else {
            (void)rl_buf_adds(out, takes_model(v) ? "_realm_models" : "_files");
        }
        (void)rl_buf_adds(out, "' ;;\n");
    }
    (void)rl_buf_adds(out, "    esac\n}\ncompdef _realm realm\n");
}

static void fish_text(rl_buf *out, const char *text)
{
    (void)rl_buf_adds(out, "'");
    for (; *text; text++)
        (void)rl_buf_addf(out, *text == '\'' ? "\\%c" : "%c", *text);
    (void)rl_buf_adds(out, "'");
}

static void fish(rl_buf *out)
{
    for (size_t i = 0; i < rl_n_verbs; i++) {
        const rl_verb *v = &rl_verbs[i];

        (void)rl_buf_addf(out, "complete -c realm -n __fish_use_subcommand -a %s -d ", v->name);
        fish_text(out, v->summary);
        (void)rl_buf_adds(out, "\n");
        for (const rl_opt *o = v->opts; o->name; o++) {
            (void)rl_buf_addf(out,
                              "complete -c realm -n '__fish_seen_subcommand_from %s' -l %s%s -d ",
                              v->name, o->name, o->value ? " -r" : "");
            fish_text(out, o->text);
            (void)rl_buf_adds(out, "\n");
        }
        if (takes_model(v))
            (void)rl_buf_addf(
                out, "complete -c realm -n '__fish_seen_subcommand_from %s' -a '(%s)'\n", v->name,
                "realm models --json 2>/dev/null | string match -ra "
                "\"(?<=\\\"name\\\":\\\")[^\\\"]*\"");
        if (has_words(v)) {
            (void)rl_buf_addf(out, "complete -c realm -f -n '__fish_seen_subcommand_from %s' -a '",
                              v->name);
            words(out, v);
            (void)rl_buf_adds(out, "'\n");
        }
    }
}

int rl_verb_completions(rl_cli *c)
{
    rl_buf out;

    rl_buf_init(&out, SCRIPT_MAX);
    if (strcmp(c->pos[0], "bash") == 0) {
        bash(&out);
    } else if (strcmp(c->pos[0], "zsh") == 0) {
        zsh(&out);
    } else if (strcmp(c->pos[0], "fish") == 0) {
        fish(&out);
    } else {
        rl_buf_deinit(&out);
        return rl_cli_usage(c->verb, "no completions for %s; there are bash, zsh and fish",
                            c->pos[0]);
    }
    return rl_cli_print(&out);
}
