/* Declares the function behind every row of the ABI table (abi.def, abi_wasi.def). */
#ifndef RL_GUEST_ABI_H
#define RL_GUEST_ABI_H

#include "guest/call.h"

#define ABI(module, name, variant, args, result, cap, mode, limit, sentence)                       \
    int64_t rl_abi_##module##_##name##variant(rl_call *c);
#include "guest/abi.def"
#include "guest/abi_wasi.def"
#undef ABI

#endif
