/* The built-in chat program (chat/chat.c) as the bytes of its module. */
#ifndef REALM_CHAT_WASM_H
#define REALM_CHAT_WASM_H

#include <stddef.h>

extern const unsigned char realm_chat_wasm[];
extern const size_t realm_chat_wasm_size;

#endif
