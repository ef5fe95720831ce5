/* Forms: a program may import both forms of env.realm_host_generate, but a linker holds one
 * function for a name. In such a program the imports of the second form are renamed before it is
 * compiled. */
#ifndef RL_GUEST_FORMS_H
#define RL_GUEST_FORMS_H

#include "guest/call.h"

/* The name of the second form in a changed module: as long as the real one. */
#define RL_FORM_NAME "realm_host_generatE"

/* Do these rows, those of a module's imports in order, hold both forms? */
bool rl_forms_both(const rl_row *const *rows, size_t n);

/* A copy of the module in which the imports of the second form have RL_FORM_NAME; rows [n_rows] are
 * its imports in order, all functions. NULL: no memory, or not the module the rows came from. */
uint8_t *rl_forms_rename(const uint8_t *wasm, size_t n, const rl_row *const *rows, size_t n_rows);

/* The name under which a row is linked in a changed module. */
const char *rl_forms_name(const rl_row *row);

#endif
