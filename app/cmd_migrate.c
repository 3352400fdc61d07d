/*
 * holdfast migrate [USER | --all]
 *
 * What a user's next request would do, now, and with no limit of time; so it
 * works beside a running service and without one.  Databases that changed are
 * pushed afterwards.
 */
#include "cmd_push.h"

#include "base/clock.h"
#include "db/migrations.h"
#include "sync/account.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
	LOCK_WAIT_MS = 30 * 1000,
	STATEMENT_MS = 3600 * 1000,
	PUSH_WAIT_MS = 30 * 1000,
	LOOK_MS = 20,
};

enum verdict {
	VERDICT_OK, /* is or was there already */
	VERDICT_MIGRATED,
	VERDICT_FAILED,
	VERDICT_ABSENT, /* no local database */
	VERDICT_COUNT,
};

struct migrate_all {
	const struct migrations *migrations;
	struct accounts *accounts;
	size_t count[VERDICT_COUNT];
};

static enum verdict fail(const struct user_id *id, const char *why)
{
	(void)printf("failed %s (%s)\n", id->text, why);
	return VERDICT_FAILED;
}

static enum verdict run_on(const struct migrate_all *m, const struct account *a)
{
	struct migrations_outcome o;

	switch (migrations_run(m->migrations, a->db, &o)) {
	case MIGRATIONS_CURRENT:
		(void)printf("ok %s version=%u\n", a->id.text, o.from);
		return VERDICT_OK;
	case MIGRATIONS_DONE:
		(void)printf("migrated %s from=%u to=%u\n", a->id.text, o.from, o.to);
		return VERDICT_MIGRATED;
	case MIGRATIONS_BUSY:
		return fail(&a->id, "somebody else is writing");
	case MIGRATIONS_FAILED:
		break;
	}
	(void)printf("failed %s version=%u (migration %u: %s)\n", a->id.text, o.from, o.failed,
		     o.error.message);
	return VERDICT_FAILED;
}

/* BUSY is for the moment in which files are replaced. */
static enum account_result open_account(struct migrate_all *m, const struct user_id *id,
					struct account **out)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000 * 1000 };
	int64_t until_ms = clock_mono_ms() + LOCK_WAIT_MS;
	enum account_result result;

	while ((result = account_open(m->accounts, id, out)) == ACCOUNT_BUSY &&
	       clock_mono_ms() < until_ms)
		nanosleep(&pause, NULL);
	return result;
}

/* What is decided about a conflict decides what becomes of the schema, too. */
static enum verdict migrate(struct migrate_all *m, const struct user_id *id)
{
	struct account *account;
	struct slot_view v;
	struct slot *slot;

	if (account_slot(m->accounts, id, &slot) != ACCOUNT_OK)
		return fail(id, "its files are not readable");
	slot_read(slot, &v);
	if (v.conflict)
		return fail(id, "conflict");
	if (v.files != FILES_PRESENT)
		return VERDICT_ABSENT;
	if (open_account(m, id, &account) != ACCOUNT_OK)
		return fail(id, "the database cannot be opened");
	userdb_set_patience(account->db, LOCK_WAIT_MS, NULL, NULL);
	enum verdict verdict = run_on(m, account);
	account_close(m->accounts, account, false);
	return verdict;
}

static void show_progress(size_t done, size_t all)
{
	if (isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO))
		(void)fprintf(stderr, "\r%zu of %zu%s", done, all, done == all ? "\n" : "");
}

static int migrate_all(struct config *c, struct migrate_all *m, const struct users *users)
{
	const struct accounts_config accounts = {
		.data = c->data,
		.role = USERDB_CLIENT,
		.limits = c->server.limits,
		.max_open = 1,
	};
	struct table *table = users_table(users);

	m->accounts = table != NULL ? accounts_new(table, &accounts) : NULL;
	if (m->accounts != NULL) {
		for (size_t i = 0; i < users->count; i++) {
			m->count[migrate(m, &users->ids[i])]++;
			show_progress(i + 1, users->count);
		}
		(void)fflush(stdout);
	}
	int result = m->accounts != NULL ? 0 : -1;
	accounts_free(m->accounts);
	table_free(table);
	return result;
}

static int report(const struct migrate_all *m, const struct users_wanted *wanted)
{
	size_t users = m->count[VERDICT_OK] + m->count[VERDICT_MIGRATED] + m->count[VERDICT_FAILED];

	if (wanted->all)
		(void)printf("%zu users: %zu ok, %zu migrated, %zu failed\n", users,
			     m->count[VERDICT_OK], m->count[VERDICT_MIGRATED],
			     m->count[VERDICT_FAILED]);
	else if (users == 0)
		(void)fprintf(stderr, "holdfast: user '%s' has no local database\n",
			      wanted->one.text);
	return m->count[VERDICT_FAILED] == 0 && (users > 0 || wanted->all) ? CMD_OK : CMD_FAILED;
}

static int run(struct config *c, const struct users_wanted *wanted)
{
	char why[MIGRATIONS_WHY_MAX];
	struct migrate_all m = { 0 };
	struct users users;
	int result = CMD_FAILED;

	if (users_find(c->data, wanted, &users) < 0)
		return CMD_FAILED;
	struct migrations *migrations = migrations_read(c->migrations, why);
	m.migrations = migrations;
	if (migrations == NULL)
		(void)fprintf(stderr, "holdfast: %s\n", why);
	else if (migrate_all(c, &m, &users) == 0)
		result = report(&m, wanted);
	migrations_free(migrations);
	users_release(&users);
	if (m.count[VERDICT_MIGRATED] > 0 && push_users(c, wanted, PUSH_WAIT_MS) != CMD_OK)
		result = CMD_FAILED;
	return result;
}

int cmd_migrate(int argc, char **argv)
{
	static const struct option options[] = {
		{ "all", no_argument, NULL, 'a' },
		{ NULL, 0, NULL, 0 },
	};
	struct users_wanted wanted;
	struct config config;
	int result = CMD_USAGE;
	bool all = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'a')
			return cmd_usage(argv[0]);
		all = true;
	}
	if (users_parse(argc - optind, argv + optind, all, &wanted) < 0)
		return cmd_usage(argv[0]);
	if (config_load(CONFIG_STORE, &config) < 0)
		return CMD_USAGE;
	log_init(LOG_LEVEL_ERROR, argv[0]);
	umask(077);
	config.server.limits.statement_ms = STATEMENT_MS;
	config.server.limits.lock_wait_ms = LOCK_WAIT_MS;
	if (config.migrations == NULL)
		(void)fprintf(stderr, "holdfast: HOLDFAST_MIGRATIONS is required\n");
	else
		result = run(&config, &wanted);
	config_release(&config);
	return result;
}
