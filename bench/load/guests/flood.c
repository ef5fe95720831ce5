/* flood: says lines without end.
 *
 * For bench/load/slow.py: a reply that is always fuller than its reader is fast, and costs the
 * engine nothing. The guest is parked whenever its reply is full; it ends with its reader. */
#include "realm.h"

REALM_EXPORT(run) int32_t run(void)
{
    int32_t st;

    do
        st = realm_say("the quick brown fox jumps over the lazy dog and comes back for more\n");
    while (st == 0);
    return st;
}
