/* realm: finds the verb, reads its arguments, runs it. */
#include "cli/cli.h"

#include "base/nearest.h"
#include "cli/progress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Only Realm's own packed files are mapped, and these are replaced, never changed. A disk that
 * fails, or somebody who cuts one, still ends in SIGBUS: say so instead of dying mutely. */
static void on_bus(int sig)
{
    static const char text[] =
        "realm: a packed model cannot be read any more; check it: realm verify NAME\n";

    (void)sig;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(RL_EXIT_FAILED);
}

static void catch_bus(void)
{
    struct sigaction sa;

    memset(&sa, 0, sizeof sa);
    sa.sa_handler = on_bus;
    (void)sigaction(SIGBUS, &sa, NULL);
}

/* A closed standard stream would leave its number to the next file that is opened: the registry
 * would become the output. Nothing stands in its place, and writing to it fails. */
static bool hold_streams(void)
{
    for (int fd = 0; fd <= STDERR_FILENO; fd++) {
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == STDERR_FILENO ? O_WRONLY : O_RDONLY) != fd)
            return false;
    }
    return true;
}

static int unknown_verb(const char *word)
{
    const char *names[RL_CLI_MAX_VERBS];
    const char *near;
    size_t n = 0;

    for (; n < rl_n_verbs && n < RL_CLI_MAX_VERBS; n++)
        names[n] = rl_verbs[n].name;
    near = rl_nearest(word, names, n);
    if (near)
        return rl_cli_usage(NULL, "there is no verb %s; did you mean %s?", word, near);
    return rl_cli_usage(NULL, "there is no verb %s", word);
}

/* --help and --version work as people try them: alone, and --help after a verb. */
static const char *verb_word(int argc, char **argv)
{
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return "help";
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)
        return "version";
    return argv[1];
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 2; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    }
    return false;
}

static int finish(int code)
{
    rl_progress_clear();
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (code == RL_EXIT_OK) /* else the reason was told */
        (void)fprintf(stderr, "realm: cannot write the result: %s\n", strerror(errno));
    return code ? code : RL_EXIT_FAILED;
}

/* A limit on the size of files is told by the write that meets it, like a full disk. */
static void ignore_size_limit(void)
{
    (void)signal(SIGXFSZ, SIG_IGN);
}

int main(int argc, char **argv)
{
    const char *word = verb_word(argc, argv);
    const rl_verb *verb = rl_verb_find(word);
    rl_cli c = { .verb = verb };
    int code;

    if (!hold_streams())
        return RL_EXIT_FAILED;
    catch_bus();
    ignore_size_limit();
    rl_cli_catch_interrupt();
    if (argc < 2)
        return rl_help_first();
    if (!verb)
        return unknown_verb(word);
    if (asks_for_help(argc, argv)) {
        c.verb = rl_verb_find("help");
        c.pos[0] = word;
        c.n_pos = 1;
        return finish(c.verb->run(&c));
    }
    code = argc > 2 ? rl_cli_parse(&c, argc - 2, (const char *const *)argv + 2)
                    : rl_cli_parse(&c, 0, NULL);
    if (code == 0)
        code = verb->run(&c);
    realm_close(c.r);
    return finish(code);
}
