/*
 * PUT /v1/import: a SQLite file takes the place of the caller's database.
 */
#include "base/clock.h"
#include "base/fault.h"
#include "base/json_write.h"
#include "db/import.h"
#include "http/user_route.h"
#include "state/slot.h"

enum { LOCK_PATIENCE_MS = 20 }; /* asleep; then it waits parked */

static void refuse(struct exchange *x, enum http_status status, const char *code, const char *what)
{
	exchange_error(x, status, code, "%s", what);
	if (status == HTTP_UNAVAILABLE)
		x->response.retry_after_s = 1;
}

static bool is_refused(struct exchange *x)
{
	struct slot_view v;

	slot_read(x->slot, &v);
	if (x->read_only)
		refuse(x, HTTP_FORBIDDEN, "READ_ONLY", "the token allows reading only");
	else if (v.conflict)
		refuse(x, HTTP_CONFLICT, "SYNC_CONFLICT",
		       "another host has written to this database; writing is off until that is "
		       "resolved");
	else
		return false;
	return true;
}

static void put_size(struct exchange *x)
{
	struct json_writer *w = json_writer_new(&x->response.body);

	json_open_object(w);
	json_key(w, "bytes");
	json_put_int(w, (int64_t)spill_len(x->request.file));
	json_close_object(w);
	json_writer_free(w);
}

static void end(const struct service *s, struct exchange *x, struct userdb *db)
{
	FAULT("request.after_commit");
	sync_commit(s->sync, x->slot, userdb_wal_bytes(db));
	x->committed = true;
	put_size(x);
	/* The answer may be held until the store has it. */
	spill_free(x->request.file);
	x->request.file = NULL;
}

/* What everybody does who has no place in line: it looks every few milliseconds. */
static enum served wait_for_lock(struct service *s, struct exchange *x)
{
	if (clock_mono_ms() < (int64_t)x->wait.goal + s->lock_wait_ms)
		return user_route_wait_a_moment(s, x);
	refuse(x, HTTP_UNAVAILABLE, "BUSY", "the database is locked");
	return SERVE_DONE;
}

static enum served conclude(struct service *s, struct exchange *x, struct userdb *db,
			    enum import_result result)
{
	switch (result) {
	case IMPORT_DONE:
		end(s, x, db);
		break;
	case IMPORT_BUSY:
		return wait_for_lock(s, x);
	case IMPORT_NO_DATABASE:
		refuse(x, HTTP_BAD_REQUEST, "NOT_A_DATABASE",
		       "the body is not a SQLite database, or an encrypted one");
		break;
	case IMPORT_DAMAGED:
		refuse(x, HTTP_BAD_REQUEST, "DATABASE_DAMAGED",
		       "the database is damaged, or needs what this server does not have");
		break;
	case IMPORT_ENCODING:
		refuse(x, HTTP_BAD_REQUEST, "ENCODING_UNSUPPORTED",
		       "the texts of the database are not in UTF-8");
		break;
	case IMPORT_TOO_LARGE:
		refuse(x, HTTP_NO_SPACE, "SQLITE_FULL",
		       "the database is larger than this server allows");
		break;
	case IMPORT_NO_SPACE:
		refuse(x, HTTP_NO_SPACE, "SQLITE_FULL", "the server's disk is full");
		break;
	case IMPORT_LATE:
		refuse(x, HTTP_UNAVAILABLE, "BUSY", "importing the database takes too long");
		break;
	case IMPORT_FAILED:
		refuse(x, HTTP_INTERNAL_ERROR, "INTERNAL", "the database cannot be imported");
		break;
	}
	return SERVE_DONE;
}

static enum import_result import(struct exchange *x, struct userdb *db)
{
	if (x->wait.goal == 0) {
		enum import_result checked = import_check(db, x->request.file);
		if (checked != IMPORT_DONE)
			return checked;
		x->wait.goal = (uint64_t)clock_mono_ms();
	}
	userdb_set_patience(db, LOCK_PATIENCE_MS, NULL, NULL);
	return import_replace(db, x->request.file);
}

/* wait.goal is when the file had been checked and the lock was first asked for; 0: not yet. */
enum served serve_import(struct service *s, struct exchange *x)
{
	struct account *account;
	enum served served;

	if (is_refused_in_vain(x) || is_refused(x))
		return SERVE_DONE;
	if (!user_route_open(s, x, &account, &served))
		return served;
	served = conclude(s, x, account->db, import(x, account->db));
	account_close(s->accounts, account, userdb_is_clean(account->db));
	return served;
}
