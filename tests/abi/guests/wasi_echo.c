/* Standard input to standard output in capitals, the arguments to standard error; exit code 3 when
 * the second argument is "fail". */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

int main(int argc, char **argv)
{
    int c;

    for (int i = 0; i < argc; i++)
        fprintf(stderr, "[%s]", argv[i]);
    while ((c = getchar()) != EOF)
        putchar(toupper(c));
    return argc > 1 && strcmp(argv[1], "fail") == 0 ? 3 : 0;
}
