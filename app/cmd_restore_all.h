/*
 * holdfast restore --all: every user that the store knows and this disk does not.
 */
#ifndef CMD_RESTORE_ALL_H
#define CMD_RESTORE_ALL_H

#include "cmd.h"
#include "config.h"

/* A line for each on stdout; the exit status.  Needs CONFIG_STORE. */
int restore_all(struct config *c);

#endif
