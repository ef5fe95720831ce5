/* The schema of realm.db as forward migrations. Private to the store and its tests. */
#ifndef RL_STORE_SCHEMA_H
#define RL_STORE_SCHEMA_H

#include "realm/status.h"

#include <sqlite3.h>

/* Step i takes a database from version i to i + 1 (PRAGMA user_version). */
extern const char *const rl_schema_steps[];
extern const int rl_schema_n_steps;

/* Brings `db` (open, at `path`) to version n_steps in one transaction. Before an existing database
 * is changed it is copied to <path>.v<old version>.bak. The caller holds the lock of the database,
 * so that two processes do not migrate at once.
 * -> OK | EUNSUPPORTED (newer than n_steps) | EINVAL (not a database of Realm) | EIO | EDISK ... */
realm_status rl_schema_apply(sqlite3 *db, const char *path, const char *const *steps, int n_steps,
                             realm_error *err) REALM_MUST_USE;

#endif
