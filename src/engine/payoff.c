/* The expected ids of a step over its expected time, for each number of guesses; the best one wins
 * by a margin. A guess counts only when all before it hold. */
#include "engine/payoff.h"

#include "base/assert.h"

#define WAIT_LEAST 8u
#define WAIT_MOST  128u
#define MARGIN     1.03 /* times better than without, or it is left: measured times are not exact */

static uint32_t kind_of(uint32_t same)
{
    return same < 3 ? 0 : same == 3 ? 1 : same < 8 ? 2 : 3;
}

void rl_payoff_measured(rl_payoff_cost *c, uint32_t rows, uint64_t ns)
{
    uint64_t *at;

    if (rows == 0 || rows > RL_PAYOFF_ROWS)
        return;
    at = &c->ns[rows];
    if (*at && ns > 2 * *at) /* something else ran */
        ns = 2 * *at;
    *at = *at ? (3 * *at + ns) / 4 : ns;
}

/* In any unit. What was not measured is as much more than the nearest that was, or less, as the
 * weights, read once for all rows, let expect: four parts of a step, and one for each row. */
static double cost_of(const rl_payoff_cost *c, uint32_t rows)
{
    uint32_t near = rows;

    while (near > 1 && !c->ns[near])
        near--;
    for (uint32_t i = rows; !c->ns[near] && i <= RL_PAYOFF_ROWS; i++)
        if (c->ns[i])
            near = i;
    return (c->ns[near] ? (double)c->ns[near] : 1e6) * (4 + rows) / (4 + near);
}

void rl_payoff_init(rl_payoff *p)
{
    *p = (rl_payoff){ .held = { 0.25, 0.4, 0.6, 0.8 }, .wait = WAIT_LEAST };
}

uint32_t rl_payoff_choose(rl_payoff *p, uint32_t same, const rl_payoff_cost *c, uint32_t rows,
                          uint32_t most, double *ids)
{
    double held = p->held[kind_of(same)], chance = 1, sum = *ids, then = sum + held;
    double best = MARGIN * sum / cost_of(c, rows);
    uint32_t n = 0;

    RL_ASSERT(most <= RL_PAYOFF_MOST && rows + most <= RL_PAYOFF_ROWS);
    for (uint32_t i = 1; i <= most; i++) {
        double rate;

        chance *= held; /* all up to this one hold */
        sum += chance;
        rate = sum / cost_of(c, rows + i);
        if (rate > best) {
            best = rate;
            n = i;
            then = sum;
        }
    }
    if (n == 0 && (most == 0 || ++p->passed < p->wait))
        return 0;
    p->passed = 0;
    *ids = then;
    return n ? n : 1;
}

void rl_payoff_learn(rl_payoff *p, uint32_t same, bool held)
{
    double *share = &p->held[kind_of(same)];

    *share += ((held ? 1.0 : 0.0) - *share) / 8;
    if (held)
        p->wait = WAIT_LEAST;
    else
        p->wait = p->wait < WAIT_MOST / 2 ? 2 * p->wait : WAIT_MOST;
}
