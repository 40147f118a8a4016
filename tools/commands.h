/*
 * commands.h: the commands. Each does its whole work and returns the exit code; what failed was said on stderr.
 */
#ifndef COUNTER_TOOLS_COMMANDS_H
#define COUNTER_TOOLS_COMMANDS_H

#include "arguments.h"

int commands_visitor_hit(const struct arguments *arguments);
int commands_visitor_erase(const struct arguments *arguments);

int commands_stats(const struct arguments *arguments);
int commands_series(const struct arguments *arguments);

int commands_site_baseline(const struct arguments *arguments);
int commands_site_reset(const struct arguments *arguments);
int commands_site_list(const struct arguments *arguments);

int commands_copy(const struct arguments *arguments);
int commands_copy_key(const struct arguments *arguments);

int commands_facts_explain(const struct arguments *arguments);
int commands_facts_check(const struct arguments *arguments);
int commands_facts_config(const struct arguments *arguments);

#endif
