/* realm-load: drives a server that speaks OpenAI's API over HTTP and reports what its clients saw.
 *
 * One thread. What it takes from the server is checked (http.h, sse.h, event.h); what is wrong
 * there is a counted failure, never an end of the program. */
#include "base/alloc.h"
#include "load/args.h"
#include "load/bodies.h"
#include "load/calibrate.h"
#include "load/loop.h"
#include "load/report.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum { EXIT_FINE = 0, EXIT_NONE = 1, EXIT_USAGE = 2 };

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

/* The first Ctrl-C ends the run with its report, a second one the program. */
static void catch_signals(void)
{
    struct sigaction a = { .sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND };

    (void)sigaction(SIGINT, &a, NULL);
    (void)sigaction(SIGTERM, &a, NULL);
}

static int show(const rl_load_report *r)
{
    bool well = r->s->ok > 0 || (r->s->started == 0 && r->s->idle.opened + r->s->slow.opened > 0);
    rl_buf out;
    int code = well ? EXIT_FINE : EXIT_NONE;

    rl_buf_init(&out, 1 << 20);
    if (r->o->json)
        rl_load_report_json(r, &out);
    else
        rl_load_report_table(r, &out);
    if (out.failed || fputs(out.data, stdout) < 0 || fflush(stdout) != 0) {
        (void)fputs("realm-load: the report could not be written\n", stderr);
        code = EXIT_NONE;
    }
    rl_buf_deinit(&out);
    return code;
}

/* Everything before the run, and the run. -> *code to exit with */
static realm_status work(const rl_load_options *o, rl_load_stats *s, int *code, realm_error *err)
{
    rl_load_bodies bodies = { .o = NULL }, idle = { .o = NULL };
    rl_load_plan plan = {
        .o = o, .bodies = &bodies, .n_good = rl_load_loop_clients(o), .stop = &stop
    };
    rl_load_totals totals;
    rl_load_report report = { .o = o, .s = s, .t = &totals };
    realm_status st = rl_load_url_resolve(&o->url, &plan.addr, err);

    plan.idle_bodies = o->idle_bodies ? &idle : &bodies;
    if (st == REALM_OK)
        st = rl_load_bodies_init(&bodies, o, o->bodies, err);
    if (st == REALM_OK && o->idle_bodies)
        st = rl_load_bodies_init(&idle, o, o->idle_bodies, err);
    if (st == REALM_OK && !o->bodies && !o->prompt_words)
        st = rl_load_calibrate(&bodies, &plan.addr, &report.calibrated_tokens, err);
    report.prompt_words = bodies.n_words;
    s->good_ns = (uint64_t)(rl_load_args_good_ms(o) * 1e6);
    if (st == REALM_OK)
        st = rl_load_loop_run(&plan, s, &totals, err);
    if (st == REALM_OK)
        *code = show(&report);
    rl_load_bodies_deinit(&idle);
    rl_load_bodies_deinit(&bodies);
    return st;
}

int main(int argc, char **argv)
{
    rl_load_options o;
    rl_load_stats *s;
    realm_error err;
    int code = EXIT_NONE;

    if (rl_load_args_parse(&o, argc, argv, &err) != REALM_OK) {
        (void)fprintf(stderr, "realm-load: %s\n", err.text);
        return EXIT_USAGE;
    }
    if (o.help) {
        rl_load_args_help();
        return EXIT_FINE;
    }
    catch_signals();
    s = rl_alloc(sizeof *s);
    if (!s || work(&o, s, &code, &err) != REALM_OK)
        (void)fprintf(stderr, "realm-load: %s\n", s ? err.text : "no memory");
    rl_free(s);
    return code;
}
