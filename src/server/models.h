/* Models: what the registry names, with what the engine does for each of them. */
#ifndef RL_SERVER_MODELS_H
#define RL_SERVER_MODELS_H

#include "server/server.h"

/* Fills in `loaded` and the counts of the models [n] with these digests. Any thread. */
void rl_server_count_models(const rl_server *s, rl_server_model *models, size_t n);

#endif
