/* What a server in the same process needs of a handle; not a part of the library's promise. */
#ifndef RL_LIB_SERVE_H
#define RL_LIB_SERVE_H

#include "realm/realm.h"

struct rl_program;
struct rl_runtime;

/* The built-in programs; references. */
typedef struct rl_lib_programs {
    struct rl_program *chat, *embed, *tokenize, *detokenize;
} rl_lib_programs;

/* The handle's runtime (borrowed; it lives as long as the handle), the built-in programs
 * (rl_lib_serve_end, also after a failure) and the folder of the registry (borrowed; NULL: the
 * default). -> OK | why the runtime could not be made */
realm_status rl_lib_serve_begin(realm *r, struct rl_runtime **runtime, rl_lib_programs *programs,
                                const char **home, realm_error *err) REALM_MUST_USE;
void rl_lib_serve_end(rl_lib_programs *programs);

/* Loads an installed program for the handle's runtime; *out is a reference. Any thread; as slow as
 * compiling is. -> OK | ENOTFOUND | EINVAL (its file is damaged) | ... */
realm_status rl_lib_serve_program(realm *r, const char *name, struct rl_program **out,
                                  realm_error *err) REALM_MUST_USE;

#endif
