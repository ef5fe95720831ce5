/* Calls every function of preview 1 and says which answered something else than it should. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <wasi/api.h>

static int n_bad;

static void expect(const char *what, unsigned got, unsigned want)
{
    if (got == want)
        return;
    printf("%s: %u, not %u\n", what, got, want);
    n_bad++;
}

#define EXPECT(call, want) expect(#call, call, want)

enum { OK = 0, BADF = 8, INVAL = 28, NOSYS = 52, SPIPE = 70, NOTCAPABLE = 76 };

static void arguments(void)
{
    __wasi_size_t n = 9, bytes = 9;
    uint8_t *pointers[4], text[64];

    EXPECT(__wasi_args_sizes_get(&n, &bytes), OK);
    EXPECT(n, 2);
    EXPECT(bytes, 10); /* "calls" and "two" with their NULs */
    EXPECT(__wasi_args_get(pointers, text), OK);
    EXPECT(strcmp((char *)pointers[0], "calls") == 0, 1);
    EXPECT(strcmp((char *)pointers[1], "two") == 0, 1);
    EXPECT(__wasi_environ_sizes_get(&n, &bytes), OK);
    EXPECT(n + bytes, 0);
    EXPECT(__wasi_environ_get(pointers, text), OK);
}

static void clocks(void)
{
    __wasi_timestamp_t t = 0, later = 0;

    EXPECT(__wasi_clock_res_get(0, &t), OK);
    EXPECT(t == 1000000, 1);
    EXPECT(__wasi_clock_time_get(0, 1, &t), OK);
    EXPECT(t % 1000000, 0);
    EXPECT(t / 1000000000 > 1700000000, 1);
    EXPECT(__wasi_clock_time_get(1, 1, &t), OK);
    EXPECT(t % 1000000, 0);
    EXPECT(__wasi_clock_time_get(1, 1, &later), OK);
    EXPECT(later >= t, 1);
    EXPECT(__wasi_clock_time_get(2, 1, &t), NOSYS);
    EXPECT(__wasi_clock_time_get(99, 1, &t), INVAL);
}

static void descriptors(void)
{
    __wasi_fdstat_t stat;
    __wasi_filestat_t file;
    __wasi_prestat_t pre;
    __wasi_filesize_t at;
    uint8_t name[8];

    EXPECT(__wasi_fd_fdstat_get(0, &stat), OK);
    EXPECT(stat.fs_rights_base & __WASI_RIGHTS_FD_READ ? 1 : 0, 1);
    EXPECT(stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE ? 1 : 0, 0);
    EXPECT(__wasi_fd_fdstat_get(1, &stat), OK);
    EXPECT(stat.fs_rights_base & __WASI_RIGHTS_FD_WRITE ? 1 : 0, 1);
    EXPECT(__wasi_fd_fdstat_get(3, &stat), BADF);
    EXPECT(__wasi_fd_filestat_get(0, &file), OK);
    EXPECT(file.size, 5); /* the request is "input" */
    EXPECT(__wasi_fd_prestat_get(3, &pre), BADF);
    EXPECT(__wasi_fd_prestat_dir_name(3, name, sizeof name), BADF);
    EXPECT(__wasi_fd_seek(1, 0, __WASI_WHENCE_CUR, &at), SPIPE);
    EXPECT(__wasi_fd_seek(5, 0, __WASI_WHENCE_CUR, &at), BADF);
    EXPECT(__wasi_fd_tell(0, &at), SPIPE);
    EXPECT(__wasi_fd_fdstat_set_flags(1, 0), OK);
    EXPECT(__wasi_fd_fdstat_set_flags(1, __WASI_FDFLAGS_NONBLOCK), NOTCAPABLE);
    EXPECT(__wasi_fd_fdstat_set_rights(1, 0, 0), NOTCAPABLE);
    EXPECT(__wasi_fd_advise(1, 0, 0, 0), NOTCAPABLE);
    EXPECT(__wasi_fd_allocate(7, 0, 1), BADF);
    EXPECT(__wasi_fd_sync(1), NOTCAPABLE);
    EXPECT(__wasi_fd_datasync(7), BADF);
    EXPECT(__wasi_fd_filestat_set_size(1, 0), NOTCAPABLE);
    EXPECT(__wasi_fd_filestat_set_times(1, 0, 0, 0), NOTCAPABLE);
    EXPECT(__wasi_fd_renumber(1, 7), BADF);
    EXPECT(__wasi_fd_renumber(1, 2), NOTCAPABLE);
}

static void reading(void)
{
    char a[2], b[16] = { 0 };
    __wasi_iovec_t parts[] = { { (uint8_t *)a, 2 }, { (uint8_t *)b, 2 } };
    __wasi_iovec_t rest = { (uint8_t *)b, sizeof b };
    __wasi_ciovec_t out = { (const uint8_t *)"x", 1 };
    __wasi_size_t n = 0;
    uint8_t entries[32];

    EXPECT(__wasi_fd_read(0, parts, 2, &n), OK);
    EXPECT(n, 4);
    EXPECT(memcmp(a, "in", 2) == 0 && memcmp(b, "pu", 2) == 0, 1);
    EXPECT(__wasi_fd_read(0, &rest, 1, &n), OK);
    EXPECT(n, 1);
    EXPECT(__wasi_fd_read(0, &rest, 1, &n), OK);
    EXPECT(n, 0); /* the end */
    EXPECT(__wasi_fd_read(1, &rest, 1, &n), NOTCAPABLE);
    EXPECT(__wasi_fd_read(4, &rest, 1, &n), BADF);
    EXPECT(__wasi_fd_write(0, &out, 1, &n), NOTCAPABLE);
    EXPECT(__wasi_fd_write(4, &out, 1, &n), BADF);
    EXPECT(__wasi_fd_write(1, &out, 0, &n), OK);
    EXPECT(n, 0);
    EXPECT(__wasi_fd_pread(0, &rest, 1, 0, &n), SPIPE);
    EXPECT(__wasi_fd_pwrite(1, &out, 1, 0, &n), SPIPE);
    EXPECT(__wasi_fd_readdir(3, entries, sizeof entries, 0, &n), BADF);
}

static void files(void)
{
    __wasi_filestat_t file;
    __wasi_fd_t fd;
    __wasi_size_t n;
    uint8_t link[8];

    EXPECT(__wasi_path_open(3, 0, "/etc/passwd", 0, 2, 0, 0, &fd), BADF);
    EXPECT(__wasi_path_open(0, 0, "/etc/passwd", 0, 2, 0, 0, &fd), NOTCAPABLE);
    EXPECT(__wasi_path_create_directory(3, "x"), BADF);
    EXPECT(__wasi_path_filestat_get(3, 0, "x", &file), BADF);
    EXPECT(__wasi_path_filestat_set_times(3, 0, "x", 0, 0, 0), BADF);
    EXPECT(__wasi_path_link(3, 0, "x", 3, "y"), BADF);
    EXPECT(__wasi_path_readlink(3, "x", link, sizeof link, &n), BADF);
    EXPECT(__wasi_path_remove_directory(3, "x"), BADF);
    EXPECT(__wasi_path_rename(3, "x", 3, "y"), BADF);
    EXPECT(__wasi_path_symlink("x", 3, "y"), BADF);
    EXPECT(__wasi_path_unlink_file(3, "x"), BADF);
}

/* Not in every C library's header. */
__attribute__((import_module("wasi_snapshot_preview1"), import_name("proc_raise"))) extern uint32_t
proc_raise(uint32_t signal);

static void others(void)
{
    uint8_t bytes[64] = { 0 }, all = 0;
    __wasi_fd_t fd;
    __wasi_iovec_t in = { bytes, 1 };
    __wasi_ciovec_t out = { bytes, 1 };
    __wasi_size_t n;
    uint16_t flags;

    EXPECT(__wasi_random_get(bytes, sizeof bytes), OK);
    for (size_t i = 0; i < sizeof bytes; i++)
        all |= bytes[i];
    EXPECT(all != 0, 1);
    EXPECT(__wasi_sched_yield(), OK);
    EXPECT(proc_raise(9), NOSYS);
    EXPECT(__wasi_sock_accept(3, 0, &fd), BADF);
    EXPECT(__wasi_sock_recv(3, &in, 1, 0, &n, &flags), BADF);
    EXPECT(__wasi_sock_send(3, &out, 1, 0, &n), BADF);
    EXPECT(__wasi_sock_shutdown(1, 1), NOTCAPABLE);
}

int main(void)
{
    arguments();
    clocks();
    descriptors();
    reading();
    files();
    others();
    EXPECT(__wasi_fd_close(0), OK);
    EXPECT(__wasi_fd_close(0), BADF);
    EXPECT(__wasi_fd_close(9), BADF);
    printf("%d wrong\n", n_bad);
    return n_bad != 0;
}
