/* The table of verbs: arguments, help, completions and the man page all come from it. */
#include "cli/cli.h"

#include "base/assert.h"

#include <string.h>

/* Options that several verbs have: where things are, how results look, how the engine computes. */
#define OPT(name, letter, value, text)                                                             \
    {                                                                                              \
        name, letter, value, text                                                                  \
    }
#define HOME                                                                                       \
    OPT("home", 0, "DIR", "Realm's folder (default $REALM_HOME, else ~/.local/share/realm)")
#define JSON OPT("json", 0, NULL, "write JSON instead of text")
#define CTX  OPT("ctx", 0, "N", "context limit in tokens (default: the model's, at most 32768)")
#define ENGINE                                                                                     \
    OPT("threads", 't', "N", "compute threads (default: one per CPU)"),                            \
        OPT("kv", 0, "bf16|f16|f32", "how keys and values are kept (default bf16)"),               \
        OPT("kv-memory", 0, "SIZE", "memory for keys and values (default 1GiB)"),                  \
        OPT("reference", 0, NULL, "compute on the slow, exact F32 path")
#define END OPT(NULL, 0, NULL, NULL)

static const rl_opt run_opts[] = {
    { "model", 'm', "NAME|FILE.gguf", "the model the program gets" },
    { "prompt", 'p', "TEXT", "what the program reads (default: standard input)" },
    { "max-memory", 0, "SIZE", "most linear memory (default 64MiB)" },
    { "max-time", 0, "TIME", "most wall time (default 300s)" },
    { "max-cpu", 0, "TIME", "most CPU time of the program itself (default 30s)" },
    { "max-tokens", 0, "N", "most generated tokens (default 4096)" },
    { "max-output", 0, "SIZE", "most bytes of reply (default 1MiB)" },
    { "no-layers", 0, NULL, "refuse the calls that drive single layers" },
    { "quiet", 'q', NULL, "no log lines and no closing line" },
    CTX,
    ENGINE,
    HOME,
    END,
};
static const rl_opt chat_opts[] = {
    { "system", 's', "TEXT", "the system message" },
    { "temp", 0, "X", "temperature, 0 is greedy (default 0.7)" },
    { "top-k", 0, "N", "draw from the N best (default 40, 0: off)" },
    { "top-p", 0, "X", "draw from this much probability (default 0.9)" },
    { "min-p", 0, "X", "leave out what is less likely than X times the best (default 0)" },
    { "seed", 0, "N",
      "the same seed and messages give the same reply (default: a new one each time)" },
    { "max-tokens", 0, "N", "most tokens of one reply (default 2048)" },
    CTX,
    ENGINE,
    HOME,
    END,
};
static const rl_opt import_opts[] = {
    { "name", 'n', "NAME", "the name to give it (default: made from the file's name)" },
    { "replace", 0, NULL, "move the name when it stands for another model" },
    JSON,
    HOME,
    END,
};
static const rl_opt models_opts[] = { JSON, HOME, END };
static const rl_opt doctor_opts[] = { JSON, HOME, END };
static const rl_opt rm_opts[] = { HOME, END };
static const rl_opt verify_opts[] = {
    { "all", 'a', NULL, "verify every model and program" },
    JSON,
    HOME,
    END,
};
static const rl_opt prune_opts[] = {
    { "dry-run", 'n', NULL, "only say what would go" },
    JSON,
    HOME,
    END,
};
static const rl_opt program_opts[] = {
    { "name", 'n', "NAME", "add: the name to give it" },
    { "replace", 0, NULL, "add: the name may stand for another program, which goes" },
    { "json", 0, NULL, "add, list: write JSON instead of text" },
    HOME,
    END,
};
static const rl_opt key_opts[] = {
    { "label", 0, "TEXT", "new: what the key is for, in a few words" },
    { "json", 0, NULL, "list: write JSON instead of text" },
    HOME,
    END,
};
static const rl_opt serve_opts[] = {
#define SETTING(table, name, flag, letter, placeholder, type, preset, least, most, words,          \
                reloadable, text)                                                                  \
    OPT(flag, letter, placeholder, text),
#include "cli/config.def"
#undef SETTING
    END,
};
static const rl_opt ps_opts[] = { JSON, HOME, END };
static const rl_opt config_opts[] = {
    JSON,
#define SETTING(table, name, flag, letter, placeholder, type, preset, least, most, words,          \
                reloadable, text)                                                                  \
    OPT(flag, letter, placeholder, text),
#include "cli/config.def"
#undef SETTING
    END,
};
static const rl_opt inspect_opts[] = {
    { "all", 'a', NULL, "also list every metadata key and every tensor" },
    JSON,
    HOME,
    END,
};
static const rl_opt tokenize_opts[] = {
    { "text", 0, "TEXT", "the text (default: standard input)" },
    { "special", 's', NULL, "the text of control tokens becomes these tokens" },
    { "bos", 'b', NULL, "add the tokens the model begins (and ends) texts with" },
    { "ids", 0, NULL, "write the ids alone, on one line" },
    JSON,
    HOME,
    END,
};
static const rl_opt logits_opts[] = {
    { "prompt", 'p', "TEXT",
      "the text; BOS is added as the model does, control tokens are parsed" },
    { "ids", 'i', "ID,ID...", "token ids instead of a text" },
    { "top", 'k', "N", "how many of the best to give (default 10)" },
    { "table", 0, NULL, "a table for people instead of JSON" },
    { "json", 0, NULL, "write JSON (the default)" },
    CTX,
    ENGINE,
    HOME,
    END,
};
static const rl_opt perplexity_opts[] = {
    { "file", 'f', "FILE", "the text" },
    { "chunk", 'c', "N", "tokens per chunk (default 512)" },
    { "chunks", 0, "N", "most chunks (default: all)" },
    { "kl", 0, NULL, "also compare with the reference path, position by position" },
    JSON,
    ENGINE,
    HOME,
    END,
};
static const rl_opt bench_opts[] = {
    { "prompt", 'p', "N,N...", "take in prompts of N tokens (default 512, 0: skip)" },
    { "gen", 'n', "N,N...", "generate N tokens in one stream (default 128, 0: skip)" },
    { "batch", 'b', "N,N...",
      "N streams at once: 128 tokens of prompt each, then 64 timed ones (default 1,4,16,64; 0: "
      "skip)" },
    { "depth", 'd', "N,N...",
      "do all that with N tokens already in the context of each stream (default 0)" },
    { "reps", 'r', "N", "repetitions; the median counts (default 3)" },
    { "temp", 0, "X", "temperature of the draws, 0 is greedy (default 0)" },
    { "top-p", 0, "X", "draw from the smallest set with this share of probability (default 1)" },
    { "profile", 0, NULL, "also say how much of a step each of its regions takes" },
    JSON,
    { "csv", 0, NULL, "write CSV instead of text" },
    CTX,
    ENGINE,
    HOME,
    END,
};
static const rl_opt help_opts[] = {
    { "man", 0, NULL, "the whole manual as a man page" },
    END,
};
static const rl_opt completions_opts[] = { END };
static const rl_opt version_opts[] = { JSON, END };

/* What follows from the name, how many arguments there may be, and what the first one is. */
#define VERB(verb, least, most, what)                                                              \
    .name = #verb, .opts = verb##_opts, .run = rl_verb_##verb, .min_pos = (least),                 \
    .max_pos = (most), .first = (what)

const rl_verb rl_verbs[] = {
    { VERB(run, 1, 1, NULL),
      .synopsis = "FILE.wasm|NAME [--model NAME|FILE.gguf] [--prompt TEXT] [-- ARG...]",
      .summary = "run a WebAssembly program with a model",
      .about =
          "Runs the program in a sandbox of its own. What has a / in it or ends in .wasm is a "
          "file, "
          "any other word the name of an installed program (realm program). It reads the prompt as "
          "its input, calls the host for everything the model does, and its reply goes to standard "
          "output as it comes. What follows -- are its arguments. Limits end it with a sentence "
          "that names the limit. "
          "The closing line on standard error says where the time went.",
      .example = "realm run hello.wasm --model qwen2.5-coder-0.5b --prompt 'Write a haiku.'\n"
                 "echo 'Write a haiku.' | realm run hello.wasm --model ./qwen.gguf --max-time 1m",
      .rest = true },
    { VERB(chat, 1, 1, "models"), .synopsis = "MODEL", .summary = "talk to a model",
      .about =
          "A conversation through the built-in chat program. Lines end with Enter; a backslash "
          "at the end of a line continues it. /help lists the commands, Ctrl-C stops a reply. "
          "With input from a pipe every line is a message and only replies are written.",
      .example = "realm chat qwen2.5-coder-0.5b\n"
                 "echo 'What is a monad?' | realm chat qwen2.5-coder-0.5b --temp 0" },
    { VERB(import, 1, 1, NULL), .synopsis = "FILE.gguf [--name NAME]",
      .summary = "check a model file, pack it and name it",
      .about = "Reads the file once, checks that Realm can run it and writes Realm's own form of "
               "it; the file is not needed afterwards. Importing the same file again only adds the "
               "name.",
      .example = "realm import ./Qwen2.5-Coder-0.5B-Instruct-Q4_K_M.gguf --name qwen" },
    { VERB(models, 0, 0, NULL), .synopsis = "", .summary = "list the imported models",
      .about = "All names of the registry with what they stand for.",
      .example = "realm models --json" },
    { VERB(rm, 1, RL_CLI_MAX_POS, "models"), .synopsis = "NAME...", .summary = "forget models",
      .about = "Removes names. The packed file goes with its last name; a process that has the "
               "model open keeps it until it ends.",
      .example = "realm rm qwen" },
    { VERB(verify, 0, RL_CLI_MAX_POS, "models"), .synopsis = "NAME... | --all",
      .summary = "read packed models and programs through and compare digests",
      .about = "Finds damage of the files on disk.", .example = "realm verify --all" },
    { VERB(prune, 0, 0, NULL), .synopsis = "[--dry-run]",
      .summary = "delete files that no name stands for",
      .about = "Such files come from runs on a path and from imports that broke off.",
      .example = "realm prune --dry-run" },
    { VERB(program, 1, RL_CLI_MAX_POS, "add list rm"),
      .synopsis = "add|list|rm [FILE.wasm|NAME] [--name NAME]",
      .summary = "install programs under names",
      .about = "add checks and compiles a WebAssembly program as run would, keeps a copy of it (at "
               "most 16 MiB) and names it; the file is not needed afterwards, and a server that "
               "runs answers by that name at once. A name is that of a program or of a model, "
               "never both. list shows what is installed, rm forgets names.",
      .example = "realm program add hello.wasm --name hello\n"
                 "realm run hello --model qwen2.5-coder-0.5b --prompt 'Write a haiku.'\n"
                 "realm program rm hello" },
    { VERB(key, 1, 2, "new list revoke"), .synopsis = "new|list|revoke [ID] [--label TEXT]",
      .summary = "make, list and revoke keys for callers over a network",
      .about = "new writes a key to standard output, the only time that it is told: the registry "
               "keeps a digest of it. list shows the keys by their ids, with when each was made "
               "and last used. revoke ends the key of an id; the server refuses it from then on.",
      .example = "realm key new --label 'the web shop'\n"
                 "realm key list --json\n"
                 "realm key revoke 7m4qk2x9c0ta" },
    { VERB(serve, 0, 0, NULL), .synopsis = "[--host ADDRESS] [--port N]",
      .summary = "answer OpenAI's API over HTTP",
      .about =
          "Point a client of OpenAI's API at http://HOST:PORT/v1. On this machine alone any text "
          "does as its key until there is a real one (realm key new); at any other address "
          "everybody needs a key, but for /livez, /readyz and /health.\n"
          "Each answer is a run of a program in a sandbox of its own: a built-in one, or the "
          "installed one that the request names as its model (PROGRAM or PROGRAM@MODEL).\n"
          "Settings come from realm.toml, the environment and these options (realm config shows "
          "them). SIGHUP reads them again: those that the manual marks * take effect at once, and "
          "a new key counts; a mistake in the file leaves all as it was. SIGTERM or Ctrl-C lets "
          "what runs end.\n"
          "Standard error has a JSON line for each request and each completion, without any text "
          "of them. Under systemd (Type=notify) it says when it is ready and feeds the watchdog "
          "while its engine makes steps.",
      .list = "endpoints", .row = rl_serve_row,
      .example = "realm serve --port 8080\n"
                 "curl http://127.0.0.1:8080/v1/models\n"
                 "curl http://127.0.0.1:8080/v1/completions -d '{\"model\": \"qwen\", "
                 "\"prompt\": \"Once\"}'\n"
                 "curl http://127.0.0.1:8080/metrics" },
    { VERB(ps, 0, 0, NULL), .synopsis = "[--json]", .summary = "list the servers that run",
      .about =
          "The processes of realm serve that use this registry: address, loaded models, how long "
          "they have been up, sequences computed for and waiting, tokens generated in the last "
          "second, resident memory (the mapped models are part of it). The figures are a second "
          "old at most.",
      .example = "realm ps --json" },
    { VERB(config, 0, 0, NULL), .synopsis = "[--json]",
      .summary = "show every setting and where it came from",
      .about = "A setting is what the last of these says: the default, /etc/realm/realm.toml, "
               "$XDG_CONFIG_HOME/realm/realm.toml (default ~/.config), REALM_<NAME> in the "
               "environment, the option of a verb that has it.",
      .example = "realm config\nREALM_PORT=8081 realm config --threads 4 --json" },
    { VERB(inspect, 1, 1, "models"), .synopsis = "FILE|NAME",
      .summary = "say what a model file or a WebAssembly module is",
      .about = "For a GGUF file: architecture, sizes, weight types, tokenizer, and what stands in "
               "the way when Realm cannot run it. For a WebAssembly module: what it imports and "
               "exports, which capabilities it needs and which imports are unknown.",
      .example = "realm inspect model.gguf\nrealm inspect program.wasm --json" },
    { VERB(tokenize, 1, 1, "models"), .synopsis = "MODEL [--text TEXT]",
      .summary = "turn text into token ids",
      .about = "MODEL is a name or a GGUF file, which may also be one that Realm cannot run.",
      .example = "realm tokenize qwen --text 'Hello, world' --ids" },
    { VERB(logits, 1, 1, "models"), .synopsis = "MODEL (--prompt TEXT | --ids ID,ID...)",
      .summary = "the raw logits after a text",
      .about = "Writes {\"ids\", \"top\": [[id, logit]...], \"logsumexp\"} with the best logits "
               "first, for comparing with other engines.",
      .example = "realm logits qwen --prompt 'The capital of France is' --top 5" },
    { VERB(perplexity, 1, 1, "models"), .synopsis = "MODEL -f FILE",
      .summary = "how well a model predicts a text",
      .about =
          "The text is cut into chunks; the tokens of the second half of each are scored, as "
          "llama-perplexity does. --kl adds the mean Kullback-Leibler divergence from the exact "
          "F32 path and how often both agree on the best token.",
      .example = "realm perplexity qwen -f text.txt -c 512 --chunks 20 --kl" },
    { VERB(bench, 1, 1, "models"), .synopsis = "MODEL", .summary = "measure tokens per second",
      .about = "Times the engine alone: taking in a prompt, one stream, and many streams at once. "
               "Each figure is the median of the repetitions, after one that warms up.\n"
               "--profile adds where the wall time of steps went: embeddings, norms that are a "
               "region of their own, the five regions of a layer, the output matrix (head), what "
               "comes behind it up to the ids (sample), and the rest.",
      .example = "realm bench qwen -p 512 -n 128 -b 0 -t 2 -r 5 --json\n"
                 "realm bench qwen -p 0 -n 0 -b 16 -d 128,2048 --profile" },
    { VERB(doctor, 0, 0, NULL), .synopsis = "", .summary = "look at this machine and the registry",
      .about = "Says what Realm finds and what to do about what is wrong. The exit code is 1 when "
               "something must be done.",
      .example = "realm doctor" },
    { VERB(help, 0, 1, "verbs"), .synopsis = "[VERB]", .summary = "explain a verb",
      .about = "Without a verb, lists them all.", .example = "realm help run" },
    { VERB(version, 0, 0, NULL), .synopsis = "", .summary = "the version of realm",
      .about = "Name and version on one line.", .example = "realm version" },
    { VERB(completions, 1, 1, "bash zsh fish"), .synopsis = "bash|zsh|fish",
      .summary = "completions for a shell", .about = "A script for the shell to read.",
      .example = "source <(realm completions bash)\n"
                 "realm completions fish > ~/.config/fish/completions/realm.fish" },
};
const size_t rl_n_verbs = RL_COUNT(rl_verbs);

const rl_verb *rl_verb_find(const char *name)
{
    for (size_t i = 0; i < rl_n_verbs; i++) {
        if (strcmp(rl_verbs[i].name, name) == 0)
            return &rl_verbs[i];
    }
    return NULL;
}
