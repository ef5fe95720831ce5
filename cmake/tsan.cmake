# Read by ctest itself in the preset tsan, before any test: a report ends the test that made it, with
# a code of its own that no test counts as skipped. What TSAN_OPTIONS says already has the last word.
# report_signal_unsafe: the runtime's handler of guests' traps allocates (docs/adr/0010).
set(ENV{TSAN_OPTIONS} "halt_on_error=1 exitcode=66 report_signal_unsafe=0 $ENV{TSAN_OPTIONS}")
