/* Lead: looks for a marker in a text that comes byte by byte. One owner at a time. */
#ifndef RL_SAMPLE_LEAD_H
#define RL_SAMPLE_LEAD_H

#include <stdbool.h>
#include <stdint.h>

#define RL_LEAD_MAX 64u

typedef struct rl_lead {
    char text[RL_LEAD_MAX]; /* [n] the marker; n 1..RL_LEAD_MAX */
    uint32_t n;
    uint32_t matched; /* its first bytes that the text ends with */
    bool first;       /* it counts only at the text's beginning, white space aside */
    bool missed;      /* the text began with something else */
} rl_lead;

/* Goes on by one byte. -> true: the marker ends here */
bool rl_lead_add(rl_lead *l, char c);

#endif
