#include "load/args.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum opt_kind { OPT_FLAG, OPT_TEXT, OPT_U32, OPT_U64, OPT_REAL } opt_kind;

typedef struct opt {
    const char *name;
    char letter; /* or 0 */
    opt_kind kind;
    size_t at; /* in rl_load_options */
    double least, most;
    const char *value, *help; /* value NULL: a flag */
} opt;

#define AT(field) offsetof(rl_load_options, field)

static const opt table[] = {
    { "clients", 'c', OPT_U32, AT(clients), 0, 100000, "N",
      "closed loop: N clients, each sends when its last request ended (default 1)" },
    { "requests", 'n', OPT_U64, AT(requests), 1, 1e12, "N", "stop after N requests" },
    { "seconds", 'd', OPT_REAL, AT(seconds), 0.001, 1e6, "S",
      "send no more after S seconds (default 10 without -n)" },
    { "rate", 0, OPT_REAL, AT(rate), 1e-3, 1e6, "R",
      "open loop: R requests a second on average, Poisson arrivals" },
    { "uniform", 0, OPT_FLAG, AT(uniform), 0, 0, NULL, "open loop: equal gaps" },
    { "max-clients", 0, OPT_U32, AT(max_clients), 1, 100000, "N",
      "open loop: requests under way at most (default 4096)" },
    { "completions", 0, OPT_FLAG, AT(completions), 0, 0, NULL,
      "/v1/completions, not /v1/chat/completions" },
    { "no-stream", 0, OPT_FLAG, AT(plain), 0, 0, NULL, "plain answers, no time to first token" },
    { "prompt-tokens", 'p', OPT_U32, AT(prompt_tokens), 1, 1e6, "N",
      "tokens of a prompt, template included (default 238)" },
    { "prompt-words", 0, OPT_U32, AT(prompt_words), 4, 1e6, "N",
      "words of a prompt; the server is not asked for its tokens" },
    { "bodies", 0, OPT_TEXT, AT(bodies), 0, 0, "FILE",
      "requests from a file, one JSON object a line, in turn" },
    { "max-tokens", 'm', OPT_U32, AT(max_tokens), 1, 1e6, "N", "tokens to generate (default 64)" },
    { "eos", 0, OPT_FLAG, AT(eos), 0, 0, NULL,
      "do not ask with ignore_eos: streams may end earlier" },
    { "temperature", 0, OPT_REAL, AT(temperature), 0, 100, "T", "default 0" },
    { "seed", 0, OPT_U64, AT(seed), 0, 1e18, "N", "of prompts, arrivals and sampling (default 1)" },
    { "model", 0, OPT_TEXT, AT(model), 0, 0, "NAME", "the model to ask for" },
    { "key", 0, OPT_TEXT, AT(key), 0, 0, "KEY", "sent as bearer token (or REALM_LOAD_KEY)" },
    { "extra", 0, OPT_TEXT, AT(extra), 0, 0, "JSON",
      "an object whose members are added to every request" },
    { "no-keepalive", 0, OPT_FLAG, AT(no_keepalive), 0, 0, NULL,
      "a new connection for every request" },
    { "timeout", 0, OPT_REAL, AT(timeout_s), 0.01, 1e6, "S",
      "a request fails after S seconds (default 300)" },
    { "pause-ms", 0, OPT_U32, AT(pause_ms), 0, 1e6, "MS",
      "closed loop: rest after a failed request (default 10)" },
    { "idle", 0, OPT_U32, AT(idle), 0, 100000, "N",
      "open N streams more, once, and only hold them" },
    { "idle-bodies", 0, OPT_TEXT, AT(idle_bodies), 0, 0, "FILE",
      "what idle clients ask (default: as the others)" },
    { "slow", 0, OPT_U32, AT(slow), 0, 100000, "N", "N clients more that read a byte at a time" },
    { "slow-ms", 0, OPT_U32, AT(slow_ms), 1, 1e6, "MS",
      "their time between two bytes (default 100)" },
    { "goodput-ms", 0, OPT_REAL, AT(goodput_ms), 0.001, 1e9, "MS",
      "count streams that ended within MS" },
    { "goodput-factor", 0, OPT_REAL, AT(goodput_factor), 0.001, 1e6, "X",
      "the same, within X times --solo-ms" },
    { "solo-ms", 0, OPT_REAL, AT(solo_ms), 0.001, 1e9, "MS", "what a stream takes alone" },
    { "pid", 0, OPT_U32, AT(pid), 1, 4194304, "P",
      "the server's process: its CPU and memory are reported" },
    { "json", 0, OPT_FLAG, AT(json), 0, 0, NULL, "the report as one line of JSON" },
    { "help", 'h', OPT_FLAG, AT(help), 0, 0, NULL, "this" },
};

#define N_OPTS (sizeof table / sizeof *table)

/* Copies into the field by memcpy: it may be of any type. */
static void store(rl_load_options *o, const opt *t, const void *value, size_t size)
{
    memcpy((char *)o + t->at, value, size);
}

static bool whole(const char *text, uint64_t *v)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *v = strtoull(text, &end, 10);
    return errno == 0 && *end == 0;
}

static bool real(const char *text, double *v)
{
    char *end;

    errno = 0;
    *v = strtod(text, &end);
    return end != text && *end == 0 && errno == 0 && isfinite(*v);
}

static realm_status set_number(rl_load_options *o, const opt *t, const char *text, realm_error *err)
{
    uint64_t v = 0;
    double x = 0;
    uint32_t u;

    if (t->kind == OPT_REAL ? !real(text, &x) : !whole(text, &v))
        return realm_fail(err, REALM_EINVAL, "--%s %.60s: give a number from %g to %g", t->name,
                          text, t->least, t->most);
    if (t->kind != OPT_REAL)
        x = (double)v;
    if (x < t->least || x > t->most)
        return realm_fail(err, REALM_EINVAL, "--%s %.60s: give a number from %g to %g", t->name,
                          text, t->least, t->most);
    u = (uint32_t)v;
    if (t->kind == OPT_U32)
        store(o, t, &u, sizeof u);
    else if (t->kind == OPT_U64)
        store(o, t, &v, sizeof v);
    else
        store(o, t, &x, sizeof x);
    return REALM_OK;
}

static realm_status set(rl_load_options *o, const opt *t, const char *text, realm_error *err)
{
    const bool yes = true;

    switch (t->kind) {
    case OPT_FLAG:
        store(o, t, &yes, sizeof yes);
        return REALM_OK;
    case OPT_TEXT:
        store(o, t, &text, sizeof text);
        return REALM_OK;
    default:
        return set_number(o, t, text, err);
    }
}

static const opt *find(const char *word, size_t n)
{
    for (size_t i = 0; i < N_OPTS; i++) {
        const opt *t = &table[i];

        if (word[1] == '-' ? strlen(t->name) == n - 2 && memcmp(t->name, word + 2, n - 2) == 0
                           : t->letter == word[1])
            return t;
    }
    return NULL;
}

/* The option at argv[*i]; moves *i past a value that is a word of its own. */
static realm_status option(rl_load_options *o, int argc, char *const *argv, int *i,
                           realm_error *err)
{
    const char *word = argv[*i];
    bool is_long = word[1] == '-';
    size_t n = is_long ? strcspn(word, "=") : 2;
    const opt *t = find(word, n);
    const char *value = word[n] ? word + n + is_long : NULL;

    if (!t)
        return realm_fail(err, REALM_EINVAL, "no option %.*s; see realm-load --help",
                          (int)(n < 60 ? n : 60), word);
    if (!t->value && value)
        return realm_fail(err, REALM_EINVAL, "--%s takes no value", t->name);
    if (t->value && !value && *i + 1 < argc)
        value = argv[++*i];
    if (t->value && !value)
        return realm_fail(err, REALM_EINVAL, "--%s needs a value: %s", t->name, t->value);
    return set(o, t, value, err);
}

/* What cannot be together. */
static realm_status check(const rl_load_options *o, realm_error *err)
{
    if (o->uniform && o->rate <= 0)
        return realm_fail(err, REALM_EINVAL, "--uniform is for --rate: give both");
    if ((o->goodput_factor > 0) != (o->solo_ms > 0))
        return realm_fail(err, REALM_EINVAL,
                          "--goodput-factor needs --solo-ms and the other way round: measure it "
                          "with -c 1");
    if (o->goodput_ms > 0 && o->goodput_factor > 0)
        return realm_fail(err, REALM_EINVAL, "--goodput-ms or --goodput-factor, not both");
    if (o->plain && (o->idle || o->slow))
        return realm_fail(err, REALM_EINVAL, "--idle and --slow need streams: no --no-stream");
    if (o->idle_bodies && !o->idle)
        return realm_fail(err, REALM_EINVAL, "--idle-bodies is for --idle N: give both");
    if (o->rate <= 0 && o->clients == 0 && o->idle == 0 && o->slow == 0)
        return realm_fail(err, REALM_EINVAL, "nothing to do: give -c, --rate, --idle or --slow");
    if (o->rate <= 0 && o->clients == 0 && o->seconds <= 0)
        return realm_fail(err, REALM_EINVAL, "without clients only time ends a run: give -d");
    if (o->key && strpbrk(o->key, "\r\n"))
        return realm_fail(err, REALM_EINVAL, "--key has a line end in it");
    return REALM_OK;
}

realm_status rl_load_args_parse(rl_load_options *o, int argc, char *const *argv, realm_error *err)
{
    const char *url = NULL;
    realm_status st = REALM_OK;

    *o = (rl_load_options){ .clients = 1,
                            .prompt_tokens = 238,
                            .max_tokens = 64,
                            .seed = 1,
                            .max_clients = 4096,
                            .timeout_s = 300,
                            .pause_ms = 10,
                            .slow_ms = 100,
                            .key = getenv("REALM_LOAD_KEY") };
    for (int i = 1; st == REALM_OK && i < argc; i++) {
        if (argv[i][0] == '-' && argv[i][1])
            st = option(o, argc, argv, &i, err);
        else if (url)
            st = realm_fail(err, REALM_EINVAL, "unexpected: %.100s", argv[i]);
        else
            url = argv[i];
    }
    if (st != REALM_OK || o->help)
        return st;
    if (o->requests == 0 && o->seconds <= 0 && (o->clients || o->rate > 0))
        o->seconds = 10;
    if (!url)
        return realm_fail(err, REALM_EINVAL, "give the server's address; see realm-load --help");
    st = rl_load_url_parse(&o->url, url, err);
    return st == REALM_OK ? check(o, err) : st;
}

double rl_load_args_good_ms(const rl_load_options *o)
{
    return o->goodput_ms > 0 ? o->goodput_ms : o->goodput_factor * o->solo_ms;
}

void rl_load_args_help(void)
{
    (void)fputs("usage: realm-load URL [OPTION...]\n"
                "Drives a server with OpenAI's API and reports latencies, throughput and its own "
                "cost.\n\n",
                stdout);
    for (size_t i = 0; i < N_OPTS; i++) {
        const opt *t = &table[i];
        char left[64], letter[8] = "    ";

        if (t->letter)
            (void)snprintf(letter, sizeof letter, "-%c, ", t->letter);
        (void)snprintf(left, sizeof left, "%s--%s %s", letter, t->name, t->value ? t->value : "");
        (void)printf("  %-28s %s\n", left, t->help);
    }
    (void)fputs("\nExit code: 0 something succeeded, 1 nothing did or it could not run, 2 usage.\n",
                stdout);
}
