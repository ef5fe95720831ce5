/* WASI preview 1: the three descriptors a run has, and a plain no to everything about files,
 * folders and sockets. What is refused: EBADF for a number that is not open, else ESPIPE for
 * positions and ENOTCAPABLE for the rest. */
#include "guest/wasi.h"

#include "base/alloc.h"
#include "guest/run.h"

#define WRITE_MAX RL_REPLY_ROOM /* of one call; C libraries go on with the rest */
#define LOG_MAX   ((size_t)4096)

enum { RIGHT_READ = 1u << 1, RIGHT_WRITE = 1u << 6, RIGHT_STAT = 1u << 21, RIGHT_POLL = 1u << 27 };
enum { FLAG_APPEND = 1 };

/* Made by the first fd_close. */
typedef struct wasi_state {
    bool closed[3];
} wasi_state;

bool rl_wasi_is_open(const rl_call *c, uint64_t fd)
{
    const wasi_state *state = c->run->wasi;

    return fd <= RL_WASI_STDERR && !(state != NULL && state->closed[fd]);
}

static int64_t refuse(const rl_call *c, uint64_t fd, int64_t e)
{
    return rl_wasi_is_open(c, fd) ? e : RL_WASI_BADF;
}

/* A closed descriptor stays closed: nothing here opens another in its place. */
int64_t rl_wasi_fd_close(rl_call *c)
{
    rl_run *run = c->run;
    wasi_state *state = run->wasi;

    if (!rl_wasi_is_open(c, c->arg[0].u))
        return RL_WASI_BADF;
    if (state == NULL) {
        state = rl_alloc(sizeof *state);
        if (state == NULL)
            return RL_WASI_NOMEM;
        run->wasi = state;
        run->wasi_free = rl_free;
    }
    state->closed[c->arg[0].u] = true;
    return RL_WASI_OK;
}

/* ---- reading and writing --------------------------------------------------------------------- */

int64_t rl_wasi_fd_read(rl_call *c)
{
    rl_run *run = c->run;
    const uint8_t *iovs = c->mem + c->arg[1].u;
    uint64_t at = run->stdin_at;

    if (!rl_wasi_is_open(c, c->arg[0].u))
        return RL_WASI_BADF;
    if (c->arg[0].u != RL_WASI_STDIN)
        return RL_WASI_NOTCAPABLE;
    for (uint64_t i = 0; i < c->arg[2].u && at < run->n_input; i++) {
        /* The array may lie under a part that is being filled: each entry is read before that, and
         * was the array changed, it is checked again. */
        uint32_t buf = rl_wasi_get32(iovs + i * 8), n = rl_wasi_get32(iovs + i * 8 + 4);
        uint8_t *to = rl_call_at(c, buf, n);

        if (to == NULL)
            break;
        if (n > run->n_input - at)
            n = (uint32_t)(run->n_input - at);
        memcpy(to, run->input + at, n);
        at += n;
    }
    rl_wasi_put32(c, 3, (uint32_t)(at - run->stdin_at));
    run->stdin_at = at;
    return RL_WASI_OK;
}

/* Joins the parts of a ciovec array, at most `max` bytes of them. */
static size_t gather(const rl_call *c, uint8_t *to, size_t max)
{
    const uint8_t *iovs = c->mem + c->arg[1].u;
    size_t n = 0;

    for (uint64_t i = 0; i < c->arg[2].u && n < max; i++) {
        size_t part = rl_wasi_get32(iovs + i * 8 + 4);

        if (part > max - n)
            part = max - n;
        memcpy(to + n, c->mem + rl_wasi_get32(iovs + i * 8), part);
        n += part;
    }
    return n;
}

/* In 64 bits: 1,024 parts of 4 GiB each do fit. */
static uint64_t total(const rl_call *c)
{
    const uint8_t *iovs = c->mem + c->arg[1].u;
    uint64_t n = 0;

    for (uint64_t i = 0; i < c->arg[2].u; i++)
        n += rl_wasi_get32(iovs + i * 8 + 4);
    return n;
}

int64_t rl_wasi_fd_write(rl_call *c)
{
    bool log = c->arg[0].u == RL_WASI_STDERR;
    size_t max = log ? LOG_MAX : WRITE_MAX;
    uint64_t n = total(c);
    uint8_t *data;

    if (!rl_wasi_is_open(c, c->arg[0].u))
        return RL_WASI_BADF;
    if (c->arg[0].u == RL_WASI_STDIN)
        return RL_WASI_NOTCAPABLE;
    if (n == 0) {
        rl_wasi_put32(c, 3, 0);
        return RL_WASI_OK;
    }
    /* Copied before the count is written, which may lie inside the text. */
    data = rl_alloc(n < max ? (size_t)n : max);
    if (data == NULL)
        return RL_WASI_NOMEM;
    n = gather(c, data, max);
    rl_wasi_put32(c, 3, (uint32_t)n);
    if (!log)
        return rl_emit(c, RL_REPLY_TEXT, data, (size_t)n, data, RL_WASI_OK);
    rl_reply_log(&c->run->reply, data, (size_t)n);
    rl_free(data);
    return RL_WASI_OK;
}

/* ---- what a descriptor is -------------------------------------------------------------------- */

/* Unknown, not a terminal: C libraries then buffer whole blocks and ask nothing more. */
int64_t rl_wasi_fd_fdstat_get(rl_call *c)
{
    uint8_t stat[24] = { 0 }; /* type 0 (unknown) @0, flags @2, rights @8, inherited rights @16 */
    uint64_t rights = RIGHT_POLL | RIGHT_STAT;

    if (!rl_wasi_is_open(c, c->arg[0].u))
        return RL_WASI_BADF;
    rights |= c->arg[0].u == RL_WASI_STDIN ? RIGHT_READ : RIGHT_WRITE;
    memcpy(stat + 8, &rights, sizeof rights);
    memcpy(c->mem + c->arg[1].u, stat, sizeof stat);
    return RL_WASI_OK;
}

int64_t rl_wasi_fd_filestat_get(rl_call *c)
{
    uint8_t stat[64] = { 0 }; /* links @24, size @32 */
    uint64_t links = 1, size = c->arg[0].u == RL_WASI_STDIN ? c->run->n_input : 0;

    if (!rl_wasi_is_open(c, c->arg[0].u))
        return RL_WASI_BADF;
    memcpy(stat + 24, &links, sizeof links);
    memcpy(stat + 32, &size, sizeof size);
    memcpy(c->mem + c->arg[1].u, stat, sizeof stat);
    return RL_WASI_OK;
}

int64_t rl_wasi_fd_fdstat_set_flags(rl_call *c)
{
    bool fine = (c->arg[1].u & ~(uint64_t)FLAG_APPEND) == 0;

    return refuse(c, c->arg[0].u, fine ? RL_WASI_OK : RL_WASI_NOTCAPABLE);
}

int64_t rl_wasi_fd_renumber(rl_call *c)
{
    return refuse(c, c->arg[0].u, refuse(c, c->arg[1].u, RL_WASI_NOTCAPABLE));
}

/* No folder is given, so the numbers 3, 4, ... that C libraries look through are not open. */
int64_t rl_wasi_fd_prestat_get(rl_call *c)
{
    (void)c;
    return RL_WASI_BADF;
}

int64_t rl_wasi_fd_prestat_dir_name(rl_call *c)
{
    (void)c;
    return RL_WASI_BADF;
}

/* ---- refused --------------------------------------------------------------------------------- */

/* name, which argument is the descriptor, the answer when it is open */
#define REFUSE(name, arg_fd, e)                                                                    \
    int64_t rl_wasi_##name(rl_call *c)                                                             \
    {                                                                                              \
        return refuse(c, c->arg[arg_fd].u, e);                                                     \
    }

REFUSE(fd_pread, 0, RL_WASI_SPIPE)
REFUSE(fd_pwrite, 0, RL_WASI_SPIPE)
REFUSE(fd_seek, 0, RL_WASI_SPIPE)
REFUSE(fd_tell, 0, RL_WASI_SPIPE)
REFUSE(fd_advise, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_allocate, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_datasync, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_sync, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_fdstat_set_rights, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_filestat_set_size, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_filestat_set_times, 0, RL_WASI_NOTCAPABLE)
REFUSE(fd_readdir, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_create_directory, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_filestat_get, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_filestat_set_times, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_link, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_open, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_readlink, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_remove_directory, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_rename, 0, RL_WASI_NOTCAPABLE)
REFUSE(path_symlink, 2, RL_WASI_NOTCAPABLE)
REFUSE(path_unlink_file, 0, RL_WASI_NOTCAPABLE)
REFUSE(sock_accept, 0, RL_WASI_NOTCAPABLE)
REFUSE(sock_recv, 0, RL_WASI_NOTCAPABLE)
REFUSE(sock_send, 0, RL_WASI_NOTCAPABLE)
REFUSE(sock_shutdown, 0, RL_WASI_NOTCAPABLE)
