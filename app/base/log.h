/*
 * One event per line on stderr: time, level, role, request id, event name,
 * then key=value facts.
 *
 * The function that detects a failure logs it; its callers return quietly
 * unless they know a fact that it did not.  Event names are `noun.verb`.
 * Never SQL text, arguments, tokens or signed URLs: ids and sizes only.  A
 * line is one write(2); a longer one is cut.  Bytes that would break the line
 * or a terminal are replaced by '?'.
 *
 * Warnings and errors that come again and again about the same subject are
 * counted instead (base/log_limit.h), and the sum is a line of its own.
 *
 * Where stderr is the journal's, each line begins with its priority, <N>, as
 * sd-daemon(3) has it.
 *
 *	log_init()	once per process, again after a fork
 *	log_request()	per thread: the id that the following lines carry
 *	log_client()	and for whom that is done
 *	log_settle()	now and then: tells what was suppressed
 *	log_end()	the process's last word on that
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* `role` is copied.  Events less important than `most` are dropped. */
void log_init(enum log_level most, const char *role);
/* "" for none; at most 15 characters are kept. */
void log_request(const char *id);
/* Until the next log_request(); does not stand in the line. */
void log_client(const char *user);
/* 0, or -1 when `name` is none of error, warn, info, debug. */
int log_level_parse(const char *name, enum log_level *out);

/* Sums whose time is over. */
void log_settle(void);
/* All of them. */
void log_end(void);

void log_event(enum log_level level, const char *event, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(event, ...) log_event(LOG_LEVEL_ERROR, (event), __VA_ARGS__)
#define log_warn(event, ...) log_event(LOG_LEVEL_WARN, (event), __VA_ARGS__)
#define log_info(event, ...) log_event(LOG_LEVEL_INFO, (event), __VA_ARGS__)
#define log_debug(event, ...) log_event(LOG_LEVEL_DEBUG, (event), __VA_ARGS__)

#endif
