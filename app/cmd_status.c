/*
 * holdfast status [--json | --watch] [USER]
 *
 * The pool and its users as the shared table of the running service has them,
 * worst first.  The exit status says whether somebody has to look: CMD_FAILED
 * when there is no service, STATUS_WORRIES when a user is failed or in conflict.
 * A program that reads the JSON sees that for itself and gets CMD_OK.
 */
#include "cmd.h"

#include "config.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/json_write.h"
#include "state/slot.h"
#include "sync/census.h"

#include <getopt.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
	STATUS_WORRIES = 3,
	WATCH_MS = 1000,
	USER_COLUMNS = 24,
	AGE_MAX = 24,
	LINES_MIN = 8,
	FRAME_LINES = 5, /* of a screen, without its rows */
};

struct row {
	struct user_id id;
	struct slot_view view;
};

struct rows {
	struct row *row;
	size_t count;
};

/* Where it is shown. */
struct screen {
	bool is_terminal;
	bool colours;
	unsigned lines; /* that there is room for; 0: any number */
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

/* How long ago, in at most six characters; the wall clock may have been set back since. */
static void write_age(char out[static AGE_MAX], int64_t ms)
{
	int64_t s = ms < 0 ? 0 : ms / 1000;

	if (ms == 0)
		(void)snprintf(out, AGE_MAX, "-");
	else if (s < 100)
		(void)snprintf(out, AGE_MAX, "%" PRId64 "s", s);
	else if (s < 100 * 60)
		(void)snprintf(out, AGE_MAX, "%" PRId64 "m", s / 60);
	else if (s < 100 * 3600)
		(void)snprintf(out, AGE_MAX, "%" PRId64 "h", s / 3600);
	else
		(void)snprintf(out, AGE_MAX, "%" PRId64 "d", s / 86400);
}

/* Both together take no place in a line. */
static const char *colour_of(const struct screen *screen, enum sync_status status)
{
	if (!screen->colours)
		return "";
	switch (status) {
	case SYNC_IN_STEP:
		return "\033[32m";
	case SYNC_DIRTY:
		return "\033[33m";
	case SYNC_FAILED:
		return "\033[31m";
	case SYNC_CONFLICT:
		return "\033[1;31m";
	}
	abort();
}

static const char *no_colour(const struct screen *screen)
{
	return screen->colours ? "\033[0m" : "";
}

static void print_pool(const struct table *t, const struct rows *rows, const struct screen *screen)
{
	unsigned workers = 0, users[SYNC_STATUSES] = { 0 };
	struct worker_word w;

	for (unsigned i = 0; i < TABLE_WORKERS_MAX; i++)
		workers += table_worker_get(t, i, &w);
	for (size_t i = 0; i < rows->count; i++)
		users[sync_status(&rows->row[i].view)]++;
	printf("%u workers, %zu users:", workers, rows->count);
	for (int status = SYNC_CONFLICT; status >= SYNC_IN_STEP; status--)
		printf("%s%s%u %s%s", status == SYNC_CONFLICT ? " " : ", ",
		       users[status] > 0 ? colour_of(screen, (enum sync_status)status) : "",
		       users[status], sync_status_name[status],
		       users[status] > 0 ? no_colour(screen) : "");
	printf("%s\n\n", table_store(t)->down_since_ms != 0 ? "; the store is down" : "");
}

/* On a terminal a long id is cut, so that a line stays a line. */
static void print_row(const struct row *row, const struct screen *screen)
{
	const struct slot_view *v = &row->view;
	enum sync_status status = sync_status(v);
	bool cut = screen->is_terminal && strlen(row->id.text) > USER_COLUMNS;
	char unsynced[AGE_MAX], since[AGE_MAX];

	write_age(unsynced, census_unsynced_ms(v, clock_mono_ms(), clock_wall_ms()));
	write_age(since, v->failed_since_ms != 0 ? clock_wall_ms() - v->failed_since_ms : 0);
	printf("%-*.*s%s %s%-8s%s %8" PRIu64 " %8" PRIu64 " %8s %-11s %6s\n",
	       cut ? USER_COLUMNS - 1 : USER_COLUMNS,
	       cut ? USER_COLUMNS - 1 : (int)sizeof row->id.text, row->id.text, cut ? "~" : "",
	       colour_of(screen, status), sync_status_name[status], no_colour(screen),
	       v->committed - v->stored, v->txid, unsynced,
	       v->error && v->error < ERROR_COUNT ? object_error_name[v->error] : "-", since);
}

static void print_table(const struct table *t, const struct rows *rows, const struct screen *screen)
{
	size_t most = rows->count;

	print_pool(t, rows, screen);
	printf("%-*s %-8s %8s %8s %8s %-11s %6s\n", USER_COLUMNS, "USER", "STATUS", "PENDING",
	       "TXID", "UNSYNCED", "ERROR", "FAILED");
	if (screen->lines > 0 && most > screen->lines - FRAME_LINES)
		most = screen->lines - FRAME_LINES;
	for (size_t i = 0; i < most; i++)
		print_row(&rows->row[i], screen);
	if (most < rows->count)
		printf("... and %zu more\n", rows->count - most);
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
	json_key(j, "unsynced_ms");
	json_put_int(j, census_unsynced_ms(v, clock_mono_ms(), clock_wall_ms()));
	json_key(j, "wal_bytes");
	json_put_int(j, (int64_t)v->wal_bytes);
	json_key(j, "spool_bytes");
	json_put_int(j, (int64_t)v->spool_bytes);
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

static int worries(const struct rows *rows)
{
	/* The worst is the first. */
	return rows->count > 0 && sync_status(&rows->row[0].view) >= SYNC_FAILED ? STATUS_WORRIES
										 : CMD_OK;
}

static int show(const struct config *c, const struct user_id *only, const struct screen *screen)
{
	const struct table *t = table_map_readonly(c->table);

	if (t == NULL) {
		(void)fprintf(stderr, "the service is not running: nobody holds '%s'\n", c->table);
		return CMD_FAILED;
	}
	struct rows rows = read_rows(t, only);
	int status = screen == NULL ? CMD_OK : worries(&rows);
	if (screen == NULL)
		print_json(t, &rows);
	else
		print_table(t, &rows, screen);
	free(rows.row);
	table_free(t);
	return status;
}

/* Colours are for eyes: https://no-color.org */
static struct screen find_screen(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	bool is_terminal = isatty(STDOUT_FILENO) == 1;

	return (struct screen){
		.is_terminal = is_terminal,
		.colours = is_terminal && (no_color == NULL || no_color[0] == '\0') &&
			   term != NULL && strcmp(term, "dumb") != 0,
	};
}

/* ---- watching */

static volatile sig_atomic_t told_to_stop;

static void on_stop(int signal)
{
	told_to_stop = signal;
}

/* A terminal that changes its size interrupts the wait, and is drawn anew. */
static void on_resize(int signal)
{
	(void)signal;
}

static void catch_signals(void)
{
	struct sigaction stop = { .sa_handler = on_stop }, resize = { .sa_handler = on_resize };

	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	sigaction(SIGHUP, &stop, NULL);
	sigaction(SIGWINCH, &resize, NULL);
}

static unsigned terminal_lines(void)
{
	struct winsize size;

	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row == 0)
		return 24;
	return size.ws_row > LINES_MIN ? size.ws_row : LINES_MIN;
}

/*
 * On the terminal's other screen, without a cursor: when it is over, all is as it
 * was.  The service may end and begin anew meanwhile.
 */
static int watch(const struct config *c, const struct user_id *only, struct screen screen)
{
	int status = CMD_OK;

	catch_signals();
	printf("\033[?1049h\033[?25l");
	while (!told_to_stop) {
		screen.lines = terminal_lines();
		printf("\033[H\033[J");
		/* What is said on stderr comes after it. */
		(void)fflush(stdout);
		status = show(c, only, &screen);
		(void)fflush(stdout);
		poll(NULL, 0, WATCH_MS);
	}
	printf("\033[?25h\033[?1049l");
	(void)fflush(stdout);
	return status;
}

enum mode { MODE_TABLE, MODE_JSON, MODE_WATCH };

static int run(const struct config *c, const struct user_id *only, enum mode mode)
{
	const struct screen screen = find_screen();

	switch (mode) {
	case MODE_TABLE:
		return show(c, only, &screen);
	case MODE_JSON:
		return show(c, only, NULL);
	case MODE_WATCH:
		break;
	}
	if (screen.is_terminal)
		return watch(c, only, screen);
	(void)fprintf(stderr, "holdfast: --watch needs a terminal\n");
	return CMD_USAGE;
}

/* -1: a wrong usage. */
static int parse_mode(int argc, char **argv, enum mode *mode)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, MODE_JSON },
		{ "watch", no_argument, NULL, MODE_WATCH },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	*mode = MODE_TABLE;
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option == '?' || *mode != MODE_TABLE)
			return -1;
		*mode = (enum mode)option;
	}
	return optind < argc - 1 ? -1 : 0;
}

int cmd_status(int argc, char **argv)
{
	struct config config;
	struct user_id user;
	enum mode mode;

	if (parse_mode(argc, argv, &mode) < 0)
		return cmd_usage(argv[0]);
	if (optind < argc && user_id_parse(argv[optind], strlen(argv[optind]), &user) < 0) {
		(void)fprintf(stderr, "'%s' is not a user id\n", argv[optind]);
		return CMD_USAGE;
	}
	if (config_load(0, &config) < 0)
		return CMD_USAGE;
	int status = run(&config, optind < argc ? &user : NULL, mode);
	config_release(&config);
	return status;
}
