/* Counts the heap of the whole process (the test is linked with --wrap for malloc and its kin), so
 * that a test can say how much a host call takes at most. Any thread. */
#ifndef ABI_HEAP_H
#define ABI_HEAP_H

#include <stddef.h>

void heap_mark(void);      /* the peak starts anew from what is used now */
size_t heap_peak(void);    /* most bytes over the mark since then */
size_t heap_largest(void); /* largest single request since the mark */

#endif
