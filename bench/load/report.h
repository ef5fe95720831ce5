/* Report: what a run came to, as a table for people or one line of JSON. */
#ifndef RL_LOAD_REPORT_H
#define RL_LOAD_REPORT_H

#include "base/buf.h"
#include "load/loop.h"

typedef struct rl_load_report {
    const rl_load_options *o;
    const rl_load_stats *s;
    const rl_load_totals *t;
    uint32_t prompt_words, calibrated_tokens; /* 0: not so */
} rl_load_report;                             /* borrowed */

#define RL_LOAD_WARNINGS 12

typedef struct rl_load_warnings {
    char text[RL_LOAD_WARNINGS][200];
    unsigned n;
} rl_load_warnings;

/* What a reader must know before using the figures. */
void rl_load_report_warnings(const rl_load_report *r, rl_load_warnings *w);

void rl_load_report_table(const rl_load_report *r, rl_buf *out);
void rl_load_report_json(const rl_load_report *r, rl_buf *out);

/* Figures of both, from the totals. */
double rl_load_report_share(const rl_load_report *r); /* of a core that the client used */
double rl_load_report_foreign(
    const rl_load_report *r); /* cores that were neither's; with a server */

#endif
