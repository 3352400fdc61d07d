/*
 * The environment variables of the program: one table of them, in the .c file,
 * and what is set.
 *
 *	variables_read()	every variable, set or by its standard
 *	variable_read_secret()	those of credentials, when they are needed
 *	variables_release()	wipes the secrets
 *
 * What is wrong is added to `said` as one line, which names the variable.
 */
#ifndef VARIABLE_H
#define VARIABLE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

enum variable_id {
	VARIABLE_SOCKET,
	VARIABLE_SOCKETS,
	VARIABLE_DATA,
	VARIABLE_STORE,
	VARIABLE_S3_ENDPOINT,
	VARIABLE_S3_REGION,
	VARIABLE_S3_ACCESS_KEY,
	VARIABLE_S3_SECRET_KEY,
	VARIABLE_AUTH,
	VARIABLE_JWT_KEY_FILE,
	VARIABLE_JWT_AUDIENCE,
	VARIABLE_JWT_ISSUER,
	VARIABLE_JWT_LEEWAY_S,
	VARIABLE_WORKERS,
	VARIABLE_MAX_ACTIVE_USERS,
	VARIABLE_RETRY_WAIT_MS,
	VARIABLE_RETRY_MIN_MS,
	VARIABLE_RETRY_MAX_MS,
	VARIABLE_CONNECT_TIMEOUT_MS,
	VARIABLE_SILENCE_TIMEOUT_MS,
	VARIABLE_MAX_UPLOADS,
	VARIABLE_MAX_WAL_BYTES,
	VARIABLE_RETENTION_S,
	VARIABLE_ON_CONFLICT,
	VARIABLE_MIGRATIONS,
	VARIABLE_MAX_DB_BYTES,
	VARIABLE_MAX_BODY_BYTES,
	VARIABLE_MAX_IMPORT_BYTES,
	VARIABLE_MAX_RESULT_BYTES,
	VARIABLE_STATEMENT_TIMEOUT_MS,
	VARIABLE_LOCK_WAIT_MS,
	VARIABLE_STREAM_IDLE_MS,
	VARIABLE_STREAM_MAX_MS,
	VARIABLE_MAX_STREAMS,
	VARIABLE_MAX_REQUESTS,
	VARIABLE_SHUTDOWN_MS,
	VARIABLE_LOG,
	VARIABLE_COUNT,
};

struct setting {
	/* The value, or the variable's standard: a choice is its place, a number itself. */
	char *text; /* NULL: not set and without a standard, or not text */
	int64_t number;

	/* Borrowed from the environment, NULL when not set there. */
	const char *given;
	const char *given_file; /* NAME_FILE, of a secret */
};

/* Secrets are found, but not read yet.  After -1, too, variables_release(). */
int variables_read(char *const environment[], struct setting out[static VARIABLE_COUNT],
		   struct buf *said);
/* Leaves `s` empty when it is not given at all. */
int variable_read_secret(enum variable_id id, struct setting *s, struct buf *said);
/*
 * Moves the values of secrets to where /proc/<pid>/environ does not show them;
 * programs that are executed get them as before.  Nothing may be borrowed.
 */
void variables_hide(char *environment[]);
void variables_release(struct setting all[static VARIABLE_COUNT]);

const char *variable_name(enum variable_id id);
int64_t variable_max(enum variable_id id);

/* Adds the line about what is wrong, quoting `value` unless it is NULL; returns -1. */
int variable_wrong(struct buf *said, enum variable_id id, const char *value, const char *what);

/* All of them: name, standard, what is allowed, what it means. */
void variables_describe(struct buf *out);

#endif
