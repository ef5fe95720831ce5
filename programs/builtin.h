/* The programs that are built into realm, as WebAssembly. */
#ifndef PROGRAMS_BUILTIN_H
#define PROGRAMS_BUILTIN_H

#include <stddef.h>

extern const unsigned char realm_chat_wasm[]; /* completions of every kind */
extern const size_t realm_chat_wasm_size;
extern const unsigned char realm_embed_wasm[];
extern const size_t realm_embed_wasm_size;
extern const unsigned char realm_tokenize_wasm[];
extern const size_t realm_tokenize_wasm_size;
extern const unsigned char realm_detokenize_wasm[];
extern const size_t realm_detokenize_wasm_size;

#endif
