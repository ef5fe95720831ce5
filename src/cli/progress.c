#include "cli/progress.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "cli/cli.h"
#include "cli/text.h"
#include "cli/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <unistd.h>

#define EVERY_NS 100000000u
#define BAR      24

static struct {
    const char *label;
    char what[64]; /* of the work the bar stands for now */
    uint64_t start_ns, last_ns;
    bool shown;
} bar;

void rl_progress_label(const char *label)
{
    bar.label = label;
}

void rl_progress_clear(void)
{
    if (bar.shown) {
        (void)fputs("\r\033[K", stderr);
        (void)fflush(stderr);
    }
    bar.shown = false;
    bar.what[0] = 0;
}

/* Steps are counted, bytes are sized: nothing else has totals over a million. */
static void amounts(uint64_t done, uint64_t total, char *out, size_t cap)
{
    char a[RL_UNITS_TEXT], b[RL_UNITS_TEXT];

    if (total > 1000000)
        (void)snprintf(out, cap, "%s of %s", rl_units_show_size(done, a),
                       rl_units_show_size(total, b));
    else
        (void)snprintf(out, cap, "%" PRIu64 " of %" PRIu64, done, total);
}

static void remaining(uint64_t done, uint64_t total, uint64_t spent_ns, char *out, size_t cap)
{
    double left = done ? (double)spent_ns / 1e9 * ((double)total / (double)done - 1) : 0;

    out[0] = 0;
    if (spent_ns < 1000000000u || left < 1)
        return;
    if (left < 100)
        (void)snprintf(out, cap, "  %.0f s left", left);
    else
        (void)snprintf(out, cap, "  %.0f min left", left / 60);
}

/* A line that wraps cannot be drawn over: on a narrow terminal first the bar goes, then the time
 * that is left, then the end of the words. */
static void fit(char *head, char *cells, const char *amount, char *left, size_t room)
{
    size_t rest = *amount ? strlen(amount) + 2 : 0;

    if (rl_text_width(head) + rl_text_width(cells) + rest + strlen(left) > room)
        *cells = 0;
    if (rl_text_width(head) + rest + strlen(left) > room)
        *left = 0;
    if (strlen(head) + rest > room)
        head[room > rest ? rl_utf8_whole(head, room - rest) : 0] = 0;
}

static void draw(const char *what, uint64_t done, uint64_t total, uint64_t now)
{
    char head[160], cells[BAR * 3 + 4] = " ", amount[80] = "", left[64] = "";
    size_t room = rl_text_columns(STDERR_FILENO);
    int full = total ? (int)((double)done / (double)total * BAR) : 0;

    (void)snprintf(head, sizeof head, "%s%s%s", bar.label ? bar.label : "", bar.label ? ": " : "",
                   what);
    if (total) {
        for (int i = 0; i < BAR; i++)
            (void)snprintf(cells + strlen(cells), 4, "%s", i < full ? "█" : "░");
        amounts(done, total, amount, sizeof amount);
        remaining(done, total, now - bar.start_ns, left, sizeof left);
    }
    fit(head, cells, amount, left, room ? room - 1 : SIZE_MAX);
    (void)fprintf(stderr, "\r\033[K%s%s%s%s%s", head, cells, *amount ? "  " : "", amount, left);
    (void)fflush(stderr);
    bar.shown = true;
}

bool rl_progress_show(void *ctx, const char *what, uint64_t done, uint64_t total)
{
    uint64_t now = rl_clock_ns();

    (void)ctx;
    if (strcmp(bar.what, what) != 0) {
        (void)snprintf(bar.what, sizeof bar.what, "%s", what);
        bar.start_ns = now;
        bar.last_ns = now; /* short work shows nothing */
    }
    if (now - bar.last_ns >= EVERY_NS && rl_text_steers()) {
        bar.last_ns = now;
        draw(what, done, total, now);
    }
    return rl_cli_interrupted();
}
