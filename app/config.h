/*
 * The configuration: environment variables, read once, checked all together.
 *
 * The table in variable.c says all there is to say about each of them.  What comes
 * out is in the terms of the layers that need it; they never see this header.
 *
 *	config_read()
 *	... config.server, config.sync, config.pool
 *	config_release()	wipes the secrets
 */
#ifndef CONFIG_H
#define CONFIG_H

#include "base/buf.h"
#include "base/log.h"
#include "http/server.h"
#include "proc/master.h"
#include "sync/sync.h"

struct config {
	/* What the sub-structs point to. */
	char *data;
	char *socket;
	char *table;
	char *jwt_key_files; /* with ':' between them */
	char *jwt_audience;
	char *jwt_issuer;
	char *migrations; /* a folder; NULL: none.  server.migrations: see db/migrations.h */

	enum log_level log;
	struct pool_config pool;
	struct server_config server; /* server.jwt.keys is not configuration: see http/jwks.h */
	struct sync_config sync; /* sync.node is not configuration: see state/node.h */
};

/* Which variables a command cannot do without; the others may be missing. */
enum config_need {
	CONFIG_STORE = 1 << 0, /* HOLDFAST_STORE and what its kind asks for */
	CONFIG_AUTH = 1 << 1, /* what HOLDFAST_AUTH asks for */
	CONFIG_KEY = 1 << 2, /* HOLDFAST_JWT_KEY_FILE */
};

/*
 * `environment` is NULL-terminated `NAME=value`.  `said` gets one
 * line for a person with -1: which variable, and what is wrong with it.  After
 * -1 there is nothing to release.  Without CONFIG_STORE no credentials are
 * read, and the store's part is empty if HOLDFAST_STORE is not set.
 */
int config_read(char *const environment[], unsigned needs, struct config *out, struct buf *said);
void config_release(struct config *c);

/*
 * The same from this process's environment, with what is to be said on stderr.
 * Afterwards /proc does not show the secrets in it.
 */
int config_load(unsigned needs, struct config *out);

#endif
