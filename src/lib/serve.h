/* What a server in the same process needs of a handle; not a part of the library's promise. */
#ifndef RL_LIB_SERVE_H
#define RL_LIB_SERVE_H

#include "realm/realm.h"

struct rl_program;
struct rl_runtime;

/* The handle's runtime (borrowed; it lives as long as the handle), the built-in chat program (a
 * reference: rl_lib_serve_end) and the folder of the registry (borrowed; NULL: the default).
 * -> OK | why the runtime could not be made */
realm_status rl_lib_serve_begin(realm *r, struct rl_runtime **runtime, struct rl_program **chat,
                                const char **home, realm_error *err) REALM_MUST_USE;
void rl_lib_serve_end(struct rl_program *chat); /* NULL is fine */

#endif
