/* Opening a packed file. Realm wrote it into its own folder, yet nothing in it is believed before
 * the sizes fit the file and the head's digest fits the head. A file is only ever replaced by
 * rename, so a mapping never shrinks under its readers. */
#include "model/packfile.h"

#include "model/model.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

_Static_assert(sizeof(rl_pack_header) == 224, "the header has no holes");

bool rl_packfile_head_digest(const rl_pack_header *h, const rl_pack_entry *table,
                             const uint8_t *metadata, uint8_t out[RL_DIGEST_BYTES])
{
    rl_digest d;

    rl_digest_begin(&d);
    rl_digest_add(&d, h, offsetof(rl_pack_header, head_digest));
    rl_digest_add(&d, table, (size_t)h->n_tensors * sizeof *table);
    rl_digest_add(&d, metadata, (size_t)h->metadata_bytes);
    return rl_digest_end(&d, out);
}

/* [offset, offset + n * item) lies inside `bytes`. */
static bool fits(uint64_t offset, uint64_t n, uint64_t item, uint64_t bytes)
{
    return offset <= bytes && n <= (bytes - offset) / item;
}

static const char *wrong_header(const rl_pack_header *h, uint64_t bytes)
{
    /* the header is the mapping: NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    if (memcmp(h->magic, RL_PACK_MAGIC, sizeof h->magic) != 0)
        return "it is no packed model";
    if (h->layout != RL_PACK_LAYOUT)
        return "it was packed by another version of Realm";
    if (h->header_bytes != sizeof *h || h->table_offset != sizeof *h)
        return "its header is damaged";
    if (!fits(h->table_offset, h->n_tensors, sizeof(rl_pack_entry), bytes) ||
        !fits(h->metadata_offset, h->metadata_bytes, 1, bytes) ||
        !fits(h->body_offset, h->whole_bytes, 1, bytes) ||
        !fits(h->tables_offset, h->tables_bytes, 1, bytes) ||
        !fits(h->data_offset, h->data_bytes, 1, bytes) || h->metadata_offset % 64 ||
        h->body_offset % RL_PACK_PAGE || h->tables_offset % 64 || h->data_offset % RL_PACK_PAGE ||
        h->data_offset + h->data_bytes != bytes)
        return "its sizes do not fit the file";
    return NULL;
}

static const char *wrong_table(const rl_packfile *f)
{
    for (uint64_t i = 0; i < f->header->n_tensors; i++) {
        const rl_pack_entry *e = &f->table[i];

        if (e->offset % 64 || !fits(e->offset, e->bytes, 1, f->header->data_bytes))
            return "its table of tensors is damaged";
    }
    return NULL;
}

static realm_status check_head(rl_packfile *f, const char *path, realm_error *err)
{
    const rl_pack_header *h = f->header = (const rl_pack_header *)f->map;
    uint8_t digest[RL_DIGEST_BYTES];
    const char *wrong = wrong_header(h, f->bytes);

    if (!wrong) {
        f->table = (const rl_pack_entry *)(f->map + h->table_offset);
        f->metadata = f->map + h->metadata_offset;
        f->whole = f->map + h->body_offset;
        f->tables = f->map + h->tables_offset;
        f->data = f->map + h->data_offset;
        if (!rl_packfile_head_digest(h, f->table, f->metadata, digest))
            return realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
        if (memcmp(digest, h->head_digest, sizeof digest) != 0)
            wrong = "its head is damaged";
    }
    if (!wrong)
        wrong = wrong_table(f);
    if (wrong)
        return realm_fail(err, REALM_EINVAL, "%s: %s; import the model again", path, wrong);
    return REALM_OK;
}

static realm_status fail_errno(realm_error *err, const char *path)
{
    return realm_fail(err, errno == ENOENT ? REALM_ENOTFOUND : REALM_EIO, "%s: %s", path,
                      strerror(errno));
}

/* Maps the whole file where addresses and offsets agree modulo the size of a huge page: file
 * systems that keep files in large pieces then map it with few page table entries, and decoding,
 * which reads all weights for every token, misses the TLB far less. */
static uint8_t *map_aligned(int fd, size_t bytes)
{
    size_t room = bytes + HUGE_PAGE;
    uint8_t *raw, *at;

    if (room < bytes)
        return NULL;
    raw = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    at = raw + (-(uintptr_t)raw & (HUGE_PAGE - 1));
    if (mmap(at, bytes, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
        (void)munmap(raw, room);
        return NULL;
    }
    if (at > raw)
        (void)munmap(raw, (size_t)(at - raw));
    bytes = (bytes + RL_PACK_PAGE - 1) / RL_PACK_PAGE * RL_PACK_PAGE;
    if (raw + room > at + bytes)
        (void)munmap(at + bytes, (size_t)(raw + room - (at + bytes)));
    (void)madvise(at, bytes, MADV_HUGEPAGE); /* for reading ahead; not every kernel knows it */
    return at;
}

realm_status rl_packfile_open(rl_packfile *f, const char *path, realm_error *err)
{
    struct stat sb;
    realm_status st = REALM_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    *f = (rl_packfile){ 0 };
    if (fd < 0)
        return fail_errno(err, path);
    if (fstat(fd, &sb) < 0) {
        st = fail_errno(err, path);
    } else if (!S_ISREG(sb.st_mode) || sb.st_size < (off_t)sizeof(rl_pack_header)) {
        st = realm_fail(err, REALM_EINVAL, "%s: too short for a packed model", path);
    } else {
        f->bytes = (size_t)sb.st_size;
        f->map = map_aligned(fd, f->bytes);
        if (!f->map)
            st = fail_errno(err, path);
    }
    (void)close(fd);
    if (st == REALM_OK)
        st = check_head(f, path, err);
    if (st != REALM_OK)
        rl_packfile_close(f);
    return st;
}

void rl_packfile_close(rl_packfile *f)
{
    if (f->map)
        (void)munmap(f->map, f->bytes);
    *f = (rl_packfile){ 0 };
}
