#include <realm/realm.h>

#include <stdio.h>
#include <string.h>

/* usage: with_realm HOME. Opens a registry there and finds no model in it. */
int main(int argc, char **argv)
{
    realm_options o = { .home = argc > 1 ? argv[1] : NULL };
    realm_error err = { .text = "" };
    realm_entry *list = NULL;
    realm_program *chat = NULL;
    realm *r = NULL;
    size_t n = 1;
    int good = realm_open(&r, &o, &err) == REALM_OK && realm_list(r, &list, &n, &err) == REALM_OK &&
               n == 0 && realm_program_chat(&chat, r, &err) == REALM_OK;

    printf("realm %s: %s\n", realm_version(), good ? "good" : err.text);
    realm_free(list);
    realm_program_close(chat);
    realm_close(r);
    return !good;
}
