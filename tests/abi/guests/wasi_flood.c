/* Writes a million numbered bytes to standard output: more than the reply holds unread. */
#include <stdio.h>

int main(void)
{
    for (int i = 0; i < 1000000; i++)
        putchar('a' + i % 26);
    return 0;
}
