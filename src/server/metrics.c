#include "server/metrics.h"

#include "base/assert.h"
#include "base/utf8.h"
#include "server/internal.h"

#include <inttypes.h>
#include <string.h>

static const char *const classes[] = { "none", "1xx", "2xx", "3xx", "4xx", "5xx" };
static const char *const limits[] = {
    [RL_LIMIT_NONE] = NULL,       [RL_LIMIT_TIME] = "time",     [RL_LIMIT_CPU] = "cpu",
    [RL_LIMIT_MEMORY] = "memory", [RL_LIMIT_TOKENS] = "tokens", [RL_LIMIT_OUTPUT] = "output"
};
static const char *const finishes[] = { "stop",    "length",    "tool_calls", "content_filter",
                                        "refused", "cancelled", "error" };
static const char *const further[] = { "0", "1", "2", "more" };
_Static_assert(RL_COUNT(finishes) == RL_N_FINISHED && RL_COUNT(limits) == RL_N_LIMITS &&
                   RL_COUNT(classes) == RL_METRICS_CLASSES && RL_COUNT(further) == RL_CANCEL_STEPS,
               "a word for each");

/* ---- the rows -------------------------------------------------------------------------------- */

#define READ(id, kind, name, value, help)                                                          \
    static double get_##id(const rl_metrics_values *v, size_t i)                                   \
    {                                                                                              \
        (void)i;                                                                                   \
        return (double)(value);                                                                    \
    }
#define EACH(id, kind, name, label, words, value, help) READ(id, kind, name, value, help)
#define MODEL(id, kind, name, value, help)              READ(id, kind, name, value, help)
#define INFO(id, kind, name, labels, value, help)       READ(id, kind, name, value, help)
#include "server/metrics.def"

#define HISTOGRAM(id, name, help, ...)                                                             \
    static const uint32_t bounds_##id[] = { __VA_ARGS__ };                                         \
    _Static_assert(RL_COUNT(bounds_##id) < RL_METRICS_BUCKETS, name);
#include "server/metrics.def"

static const struct {
    const uint32_t *us;
    size_t n;
} bounds[] = {
#define HISTOGRAM(id, name, help, ...) { bounds_##id, RL_COUNT(bounds_##id) },
#include "server/metrics.def"
};

typedef enum shape { ROUTED, COUNTED, HIST, ONE, WORDS, MODELS, CONSTANT } shape;

typedef struct row {
    shape shape;
    const char *kind, *name, *help;
    const char *label;        /* of WORDS and COUNTED; all labels of CONSTANT */
    const char *const *words; /* [n]; NULL: not told */
    size_t n;
    double (*get)(const rl_metrics_values *v, size_t i);
    size_t which; /* of COUNTED and HIST */
} row;

#define KIND_COUNTER "counter"
#define KIND_GAUGE   "gauge"

static const row rows[] = {
#define ROUTES(name_, help_)                                                                       \
    { .shape = ROUTED, .kind = KIND_COUNTER, .name = name_, .help = help_ },
#define COUNT(id, name_, label_, words_, help_)                                                    \
    { .shape = COUNTED,                                                                            \
      .kind = KIND_COUNTER,                                                                        \
      .name = name_,                                                                               \
      .help = help_,                                                                               \
      .label = label_,                                                                             \
      .words = words_,                                                                             \
      .n = RL_COUNT(words_),                                                                       \
      .which = RL_COUNT_##id },
#define HISTOGRAM(id, name_, help_, ...)                                                           \
    { .shape = HIST, .kind = "histogram", .name = name_, .help = help_, .which = RL_HIST_##id },
#define READ(id, kind_, name_, value, help_)                                                       \
    { .shape = ONE, .kind = KIND_##kind_, .name = name_, .help = help_, .get = get_##id },
#define EACH(id, kind_, name_, label_, words_, value, help_)                                       \
    { .shape = WORDS,                                                                              \
      .kind = KIND_##kind_,                                                                        \
      .name = name_,                                                                               \
      .help = help_,                                                                               \
      .label = label_,                                                                             \
      .words = words_,                                                                             \
      .n = RL_COUNT(words_),                                                                       \
      .get = get_##id },
#define MODEL(id, kind_, name_, value, help_)                                                      \
    { .shape = MODELS, .kind = KIND_##kind_, .name = name_, .help = help_, .get = get_##id },
#define INFO(id, kind_, name_, labels_, value, help_)                                              \
    { .shape = CONSTANT,                                                                           \
      .kind = KIND_##kind_,                                                                        \
      .name = name_,                                                                               \
      .help = help_,                                                                               \
      .label = labels_,                                                                            \
      .get = get_##id },
#include "server/metrics.def"
};

double rl_metrics_kv_ratio(const rl_metrics_values *v)
{
    return v->engine.kv_bytes ? (double)v->engine.kv_bytes_used / (double)v->engine.kv_bytes : 0;
}

/* ---- counting -------------------------------------------------------------------------------- */

static void add(_Atomic uint64_t *cell, uint64_t n)
{
    atomic_fetch_add_explicit(cell, n, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *cell)
{
    return atomic_load_explicit(cell, memory_order_relaxed);
}

void rl_metrics_request(rl_metrics *m, int route, int status)
{
    size_t r = route >= 0 && route < (int)RL_METRICS_ROUTES ? (size_t)route : RL_METRICS_ROUTES;
    size_t class = status >= 100 && status < 600 ? (size_t)status / 100 : 0;

    add(&m->requests[r][class], 1);
}

void rl_metrics_count(rl_metrics *m, rl_metrics_counter which, uint32_t word)
{
    RL_ASSERT(which < RL_N_COUNTS && word < RL_N_FINISHED);
    add(&m->counts[which][word], 1);
}

void rl_metrics_observe(rl_metrics *m, rl_metrics_hist which, uint64_t ns)
{
    size_t i = 0;

    while (i < bounds[which].n && ns > (uint64_t)bounds[which].us[i] * 1000u)
        i++;
    add(&m->hists[which].n[i], 1);
    add(&m->hists[which].sum_ns, ns);
}

void rl_timing_begin(rl_timing *t, uint64_t now_ns)
{
    *t = (rl_timing){ .begin_ns = now_ns };
}

void rl_timing_piece(rl_timing *t, rl_metrics *m, uint64_t now_ns)
{
    if (t->first_ns)
        rl_metrics_observe(m, RL_HIST_inter_token, now_ns - t->last_ns);
    else
        rl_metrics_observe(m, RL_HIST_first_token, now_ns - t->begin_ns);
    if (!t->first_ns)
        t->first_ns = now_ns;
    t->last_ns = now_ns;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* A label's value: quotes, backslashes and line ends are escaped, what is no UTF-8 is replaced. */
static void put_quoted(rl_buf *out, const char *text)
{
    size_t n = strlen(text);

    (void)rl_buf_adds(out, "\"");
    for (size_t i = 0; i < n;) {
        uint32_t cp;
        int len = rl_utf8_next(text + i, n - i, &cp);

        if (text[i] == '\n')
            (void)rl_buf_adds(out, "\\n");
        else if (text[i] == '"' || text[i] == '\\')
            (void)rl_buf_addf(out, "\\%c", text[i]);
        else if (len > 0)
            (void)rl_buf_add(out, text + i, (size_t)len);
        else
            (void)rl_buf_adds(out, "\xef\xbf\xbd");
        i += len > 0 ? (size_t)len : 1;
    }
    (void)rl_buf_adds(out, "\"");
}

static void put_routes(const row *r, const rl_metrics *m, rl_buf *out)
{
    for (size_t i = 0; i <= RL_METRICS_ROUTES; i++) {
        const rl_route *route = i < rl_n_routes ? &rl_routes[i] : NULL;

        for (size_t k = 0; k < RL_METRICS_CLASSES; k++) {
            uint64_t n = get(&m->requests[i][k]);

            if (n) /* what never happened is not told: there are many */
                (void)rl_buf_addf(out, "%s{method=\"%s\",route=\"%s\",class=\"%s\"} %" PRIu64 "\n",
                                  r->name, route ? route->method : "other",
                                  route ? route->path : "other", classes[k], n);
        }
    }
}

/* The number of all is that of the last bucket, whatever is counted meanwhile. */
static void put_hist(const row *r, const rl_metrics *m, rl_buf *out)
{
    uint64_t n = 0;

    for (size_t i = 0; i < bounds[r->which].n; i++) {
        n += get(&m->hists[r->which].n[i]);
        (void)rl_buf_addf(out, "%s_bucket{le=\"%.10g\"} %" PRIu64 "\n", r->name,
                          bounds[r->which].us[i] / 1e6, n);
    }
    n += get(&m->hists[r->which].n[bounds[r->which].n]);
    (void)rl_buf_addf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", r->name, n);
    (void)rl_buf_addf(out, "%s_sum %.15g\n", r->name,
                      (double)get(&m->hists[r->which].sum_ns) / 1e9);
    (void)rl_buf_addf(out, "%s_count %" PRIu64 "\n", r->name, n);
}

static void put_words(const row *r, const rl_metrics *m, const rl_metrics_values *v, rl_buf *out)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->words[i])
            (void)rl_buf_addf(out, "%s{%s=\"%s\"} %.15g\n", r->name, r->label, r->words[i],
                              r->shape == COUNTED ? (double)get(&m->counts[r->which][i])
                                                  : r->get(v, i));
}

static void put_models(const row *r, const rl_metrics_values *v, rl_buf *out)
{
    for (size_t i = 0; i < v->n_models; i++) {
        (void)rl_buf_addf(out, "%s{model_name=", r->name);
        put_quoted(out, v->models[i].name);
        (void)rl_buf_addf(out, "} %.15g\n", r->get(v, i));
    }
}

static void put_row(const row *r, const rl_metrics *m, const rl_metrics_values *v, rl_buf *out)
{
    (void)rl_buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, r->kind);
    switch (r->shape) {
    case ROUTED:
        put_routes(r, m, out);
        return;
    case HIST:
        put_hist(r, m, out);
        return;
    case COUNTED:
    case WORDS:
        put_words(r, m, v, out);
        return;
    case MODELS:
        put_models(r, v, out);
        return;
    case ONE:
        (void)rl_buf_addf(out, "%s %.15g\n", r->name, r->get(v, 0));
        return;
    case CONSTANT:
        (void)rl_buf_addf(out, "%s{%s} %.15g\n", r->name, r->label, r->get(v, 0));
        return;
    }
}

void rl_metrics_put(const rl_metrics *m, const rl_metrics_values *v, rl_buf *out)
{
    for (size_t i = 0; i < RL_COUNT(rows); i++)
        put_row(&rows[i], m, v, out);
}
