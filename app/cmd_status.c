/*
 * holdfast status [--json] [USER]
 *
 * The pool and its users as the shared table of the running service has them,
 * worst first.
 */
#include "cmd.h"

#include "config.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "state/slot.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct row {
	struct user_id id;
	struct slot_view view;
};

struct rows {
	struct row *row;
	size_t count;
};

static int worst_first(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int worse = (int)sync_status(&y->view) - (int)sync_status(&x->view);

	if (worse != 0)
		return worse;
	if (x->view.failed_since_ms != y->view.failed_since_ms)
		return x->view.failed_since_ms < y->view.failed_since_ms ? -1 : 1;
	return strcmp(x->id.text, y->id.text);
}

static struct rows read_rows(const struct table *t, const struct user_id *only)
{
	struct rows rows = { NULL, 0 };
	size_t room = 0;

	for (const struct slot *s = table_next(t, NULL); s != NULL; s = table_next(t, s)) {
		if (only != NULL && !slot_is_of(s, only))
			continue;
		if (rows.count == room) {
			room = room ? room * 2 : 64;
			rows.row = alloc_resized(rows.row, room * sizeof *rows.row);
		}
		struct row *row = &rows.row[rows.count++];
		slot_id(s, &row->id);
		slot_read(s, &row->view);
	}
	if (rows.count > 0)
		qsort(rows.row, rows.count, sizeof *rows.row, worst_first);
	return rows;
}

static void print_table(const struct table *t, const struct rows *rows)
{
	struct worker_word w;
	int64_t now = clock_wall_ms();

	printf("%-8s %8s %10s\n", "WORKER", "PID", "REQUESTS");
	for (unsigned i = 0; i < TABLE_WORKERS_MAX; i++) {
		if (table_worker_get(t, i, &w))
			printf("%-8u %8" PRIu32 " %10" PRIu64 "\n", i, w.pid, w.requests);
	}
	printf("\n%-32s %-9s %8s %8s %-12s %10s\n", "USER", "STATUS", "PENDING", "TXID", "ERROR",
	       "FAILED (s)");
	for (size_t i = 0; i < rows->count; i++) {
		const struct slot_view *v = &rows->row[i].view;
		int64_t since = v->failed_since_ms ? (now - v->failed_since_ms) / 1000 : 0;
		if (since < 0)
			since = 0; /* the clock was set back */
		printf("%-32s %-9s %8" PRIu64 " %8" PRIu64 " %-12s %10" PRId64 "\n",
		       rows->row[i].id.text, sync_status_name[sync_status(v)],
		       v->committed - v->stored, v->txid,
		       v->error ? object_error_name[v->error] : "-", since);
	}
}

static void put_workers(struct json_writer *j, const struct table *t)
{
	struct worker_word w;

	json_key(j, "workers");
	json_open_array(j);
	for (unsigned i = 0; i < TABLE_WORKERS_MAX; i++) {
		if (!table_worker_get(t, i, &w))
			continue;
		json_open_object(j);
		json_key(j, "worker");
		json_put_int(j, i);
		json_key(j, "pid");
		json_put_int(j, w.pid);
		json_key(j, "starts");
		json_put_int(j, (int64_t)w.epoch + 1);
		json_key(j, "requests");
		json_put_int(j, (int64_t)w.requests);
		json_close_object(j);
	}
	json_close_array(j);
}

static void put_store(struct json_writer *j, const struct table *t)
{
	const struct store_words *words = table_store(t);

	json_key(j, "store");
	json_open_object(j);
	json_key(j, "down");
	json_put_bool(j, words->down_since_ms != 0);
	json_key(j, "gaps");
	json_put_int(j, (int64_t)words->gaps);
	json_close_object(j);
}

static void put_user(struct json_writer *j, const struct row *row)
{
	const struct slot_view *v = &row->view;

	json_open_object(j);
	json_key(j, "user");
	json_put_string(j, row->id.text);
	json_key(j, "status");
	json_put_string(j, sync_status_name[sync_status(v)]);
	json_key(j, "pending_commits");
	json_put_int(j, (int64_t)(v->committed - v->stored));
	json_key(j, "remote_txid");
	json_put_int(j, (int64_t)v->txid);
	json_key(j, "last_error");
	json_put_string(j, v->error ? object_error_name[v->error] : NULL);
	json_key(j, "failed_attempts");
	json_put_int(j, v->failures);
	json_key(j, "failed_since_ms");
	json_put_int(j, v->failed_since_ms);
	json_key(j, "last_success_ms");
	json_put_int(j, v->last_success_ms);
	json_close_object(j);
}

static void print_json(const struct table *t, const struct rows *rows)
{
	struct buf text = BUF_INIT;
	struct json_writer *j = json_writer_new(&text);

	json_open_object(j);
	put_workers(j, t);
	put_store(j, t);
	json_key(j, "users");
	json_open_array(j);
	for (size_t i = 0; i < rows->count; i++)
		put_user(j, &rows->row[i]);
	json_close_array(j);
	json_close_object(j);
	json_writer_free(j);
	puts(text.data);
	buf_release(&text);
}

static int show(const struct config *c, const struct user_id *only, bool json)
{
	const struct table *t = table_map_readonly(c->table);

	if (t == NULL) {
		fprintf(stderr, "the service is not running: nobody holds '%s'\n", c->table);
		return CMD_FAILED;
	}
	struct rows rows = read_rows(t, only);
	if (json)
		print_json(t, &rows);
	else
		print_table(t, &rows);
	free(rows.row);
	table_free(t);
	return CMD_OK;
}

int cmd_status(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ NULL, 0, NULL, 0 },
	};
	struct config config;
	struct user_id user;
	bool json = false;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option != 'j')
			return cmd_usage(argv[0]);
		json = true;
	}
	if (optind < argc - 1)
		return cmd_usage(argv[0]);
	if (optind < argc && user_id_parse(argv[optind], strlen(argv[optind]), &user) < 0) {
		fprintf(stderr, "'%s' is not a user id\n", argv[optind]);
		return CMD_USAGE;
	}
	if (config_load(0, &config) < 0)
		return CMD_USAGE;
	int status = show(&config, optind < argc ? &user : NULL, json);
	config_release(&config);
	return status;
}
