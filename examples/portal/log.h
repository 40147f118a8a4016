/* log.h: one line to the server's error log, which is what a CGI program's stderr is. */
#ifndef PORTAL_LOG_H
#define PORTAL_LOG_H

/* "portal: " and the text, in one write, cut at 1 KiB; control characters become '?'. */
__attribute__((format(printf, 1, 2))) void log_line(const char *format, ...);

#endif
