/* In place of base/log: a target that complains of every input hides what it found. */
#ifndef FUZZ_QUIET_H
#define FUZZ_QUIET_H

#include "base/log.h"

void log_event(enum log_level level, const char *event, const char *fmt, ...)
{
	(void)level;
	(void)event;
	(void)fmt;
}

#endif
