/* Two threads, one counter, no lock: the thread sanitizer must end this program. */
#include <pthread.h>
#include <stddef.h>

static unsigned counter;

static void *count(void *arg)
{
    for (unsigned i = 0; i < 1000; i++)
        counter++;
    return arg;
}

int main(void)
{
    pthread_t other;

    if (pthread_create(&other, NULL, count, NULL) != 0)
        return 1;
    (void)count(NULL);
    (void)pthread_join(other, NULL);
    return 0;
}
