/*
 * What `holdfast push` does, for commands that write.
 */
#ifndef CMD_PUSH_H
#define CMD_PUSH_H

#include "cmd.h"
#include "config.h"
#include "users.h"

#include <stdint.h>

/* A line for each on stdout; the exit status.  Needs CONFIG_STORE. */
int push_users(struct config *c, const struct users_wanted *wanted, int64_t wait_ms);

#endif
