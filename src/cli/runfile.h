/* Runfile: how a server says that it runs, for `realm ps`. <home>/run/<pid>.json, mode 0600,
 * written anew each second while something changes and removed at the end. Of a server that died
 * without an end the file is stale: its process is gone, or another one that began later. One
 * thread. */
#ifndef RL_CLI_RUNFILE_H
#define RL_CLI_RUNFILE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

#define RL_RUNFILE_ADDRESS 300u
#define RL_RUNFILE_MODELS  1024u

typedef struct rl_runfile_row {
    int64_t pid;
    uint64_t birth;    /* of the process, in the kernel's ticks: with pid it names one process */
    int64_t started_s; /* since 1970 */
    char address[RL_RUNFILE_ADDRESS]; /* "http://127.0.0.1:8080" */
    char models[RL_RUNFILE_MODELS];   /* loaded; with commas between them */
    uint64_t running, waiting, requests, prompt_tokens, generated_tokens;
    uint64_t tokens_per_s;
    uint64_t memory; /* resident bytes */
} rl_runfile_row;

typedef struct rl_runfile {
    int fd; /* -1: none */
    char *path;
    rl_buf text; /* as it lies there */
} rl_runfile;

/* Makes the file of this process and removes stale ones. */
realm_status rl_runfile_open(rl_runfile *f, const char *home, realm_error *err) REALM_MUST_USE;
/* Writes when something differs from what lies there. A full disk leaves the old figures. */
void rl_runfile_write(rl_runfile *f, const rl_runfile_row *row);
void rl_runfile_close(rl_runfile *f); /* removes it; zeroed storage with fd -1 is fine */

/* The servers that run, by pid; *rows is rl_alloc'ed. No folder: none runs. */
realm_status rl_runfile_list(const char *home, rl_runfile_row **rows, size_t *n,
                             realm_error *err) REALM_MUST_USE;

/* When a process began, in ticks; 0: there is none. */
uint64_t rl_runfile_birth(int64_t pid);
uint64_t rl_runfile_memory(void); /* resident bytes of this process */

#endif
