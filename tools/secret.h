/*
 * secret.h: passwords that were typed into a URL.
 *
 * Not before the program runs can it hide what it was started with: for that moment a process list may show it. An
 * environment variable (COUNTER_STORE_PASSWORD) or a file (store_password_file) is never shown there.
 */
#ifndef COUNTER_TOOLS_SECRET_H
#define COUNTER_TOOLS_SECRET_H

/* "redis://user:password@host" becomes "redis://user:***@host", in place. Other text stays as it is. */
void secret_hide(char *text);

/* Overwrites, then frees. NULL is fine. */
void secret_free(char *text);

#endif
