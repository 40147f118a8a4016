#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void log_line(const char *format, ...)
{
    char line[1024] = "portal: ";
    size_t length = sizeof "portal: " - 1, room = sizeof line - 1 - length;
    va_list arguments;
    int added;

    va_start(arguments, format);
    added = vsnprintf(line + length, room, format, arguments);
    va_end(arguments);
    length += added < 0 ? 0 : (size_t)added < room ? (size_t)added : room - 1;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    line[length] = '\n';
    (void)!write(STDERR_FILENO, line, length + 1);
}
