/* Chunk: completions as OpenAI's clients read them, whole or piece by piece. Writes JSON; no
 * threads, no sockets. */
#ifndef RL_SERVER_CHUNK_H
#define RL_SERVER_CHUNK_H

#include "server/internal.h"

/* What all answers to one request have in common. */
typedef struct rl_chunk_head {
    char id[RL_SERVER_ID];
    int64_t created_s;
    const char *model; /* borrowed */
    bool chat, logprobs;
} rl_chunk_head;

/* What the pieces of a run's reply amount to. */
typedef struct rl_chunk_sum {
    rl_buf text;     /* of a whole answer */
    rl_buf logprobs; /* its entries, with commas between them */
    char finish[16]; /* "" until it was told */
} rl_chunk_sum;

void rl_chunk_sum_init(rl_chunk_sum *sum);
void rl_chunk_sum_deinit(rl_chunk_sum *sum);

/* Adds a piece of the reply to the sum, and as events to `sse` when that is not NULL. Other events
 * of the program pass by. */
void rl_chunk_add(const rl_chunk_head *h, rl_chunk_sum *sum, rl_reply_kind kind, const char *data,
                  size_t n, rl_buf *sse);

/* The first event of a chat's stream, and the last ones. usage: also that. */
void rl_chunk_open(const rl_chunk_head *h, rl_buf *sse);
void rl_chunk_close(const rl_chunk_head *h, const rl_chunk_sum *sum, const rl_run_result *result,
                    bool usage, rl_buf *sse);
void rl_chunk_error(const realm_error *err, rl_buf *sse); /* a stream that failed midway */

void rl_chunk_whole(const rl_chunk_head *h, const rl_chunk_sum *sum, const rl_run_result *result,
                    rl_buf *body);

#endif
