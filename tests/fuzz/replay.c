/* Runs a fuzz target once over every file of a folder: what fuzzing found stays found, as a test in
 * every build and without libFuzzer. usage: TARGET FOLDER */
#include <dirent.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* The input lies at the end of its heap block, so that a sanitizer sees a read past it. */
static int run_file(const char *path)
{
    struct stat sb;
    uint8_t *data;
    size_t n;
    FILE *f = fopen(path, "rb");

    if (!f)
        return -1;
    if (fstat(fileno(f), &sb) < 0 || !S_ISREG(sb.st_mode)) {
        (void)fclose(f);
        return 0;
    }
    n = (size_t)sb.st_size;
    data = malloc(n ? n : 1); /* the test's own, not Realm's */
    if (!data || fread(data, 1, n, f) != n) {
        free(data);
        (void)fclose(f);
        return -1;
    }
    (void)fclose(f);
    (void)LLVMFuzzerTestOneInput(data, n);
    free(data);
    return 1;
}

int main(int argc, char **argv)
{
    struct dirent *e;
    char path[4096];
    int n_run = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;

    if (!dir) {
        (void)fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    while ((e = readdir(dir)) != NULL) {
        int ran;

        (void)snprintf(path, sizeof path, "%s/%s", argv[1], e->d_name);
        ran = run_file(path);
        if (ran < 0) {
            (void)fprintf(stderr, "%s: cannot read\n", path);
            (void)closedir(dir);
            return 2;
        }
        n_run += ran;
    }
    (void)closedir(dir);
    (void)fprintf(stderr, "%d inputs replayed\n", n_run);
    return n_run > 0 ? 0 : 1; /* an empty corpus proves nothing */
}
