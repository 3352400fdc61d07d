#include "http/hrana.h"

#include "base/alloc.h"
#include "base/json_read.h"
#include "db/sandbox.h"
#include "db/scratch.h"
#include "http/baton.h"

#include <stdbool.h>

static const struct userdb_limits limits = {
	.max_db_bytes = 64 << 20,
	.max_result_bytes = 100000,
	.statement_ms = 300,
	.lock_wait_ms = 50,
	.max_sql_bytes = 1 << 20,
};

struct fixture {
	struct scratch scratch;
	struct userdb *db;
	struct exchange x;
};

typedef void endpoint(struct exchange *x, struct userdb *db);

/* One request on a stream that ends with it, whatever it wants. */
static void serve_request(enum hrana_endpoint which, struct exchange *x, struct userdb *db)
{
	struct hrana_store store = { .n = 0 };
	const struct hrana_place place = { .db = db, .store = &store, .spill_dir = "/tmp" };
	struct hrana *h = hrana_new(which, x);

	if (h != NULL && hrana_check(h, x, NULL) && hrana_run(h, x, &place) == HRANA_STATEFUL)
		sandbox_end_request(userdb_sandbox(db));
	hrana_free(h);
}

static void hrana_pipeline(struct exchange *x, struct userdb *db)
{
	serve_request(HRANA_PIPELINE, x, db);
}

static void hrana_execute(struct exchange *x, struct userdb *db)
{
	serve_request(HRANA_EXECUTE, x, db);
}

static void hrana_batch(struct exchange *x, struct userdb *db)
{
	serve_request(HRANA_BATCH, x, db);
}

static int set_up(void **state)
{
	struct fixture *f = alloc_zeroed(1, sizeof *f);

	scratch_init(&f->scratch);
	assert_int_equal(userdb_create(f->scratch.db), USERDB_OK);
	assert_int_equal(userdb_open(f->scratch.db, USERDB_CLIENT, &limits, &f->db), USERDB_OK);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	userdb_close(f->db);
	buf_release(&f->x.request.body);
	buf_release(&f->x.response.body);
	scratch_release(&f->scratch);
	free(f);
	return 0;
}

/* How long a statement took is the only thing that differs from run to run. */
static void drop_durations(struct buf *body)
{
	static const char member[] = ",\"query_duration_ms\":";
	char *at = body->data;

	while ((at = strstr(at, member)) != NULL) {
		char *end;
		assert_true(strtod(at + sizeof member - 1, &end) >= 0);
		memmove(at, end, strlen(end) + 1);
	}
	body->len = strlen(body->data);
}

/* A stream that was not closed gets one; here it stands for nothing. */
static void drop_baton(struct buf *body)
{
	static const char held[] = "{\"baton\":\"-";
	size_t from = sizeof held - 3, to = from + BATON_LEN + 2;

	if (strncmp(body->data, held, sizeof held - 1) != 0)
		return;
	memcpy(body->data + from, "null", 4);
	memmove(body->data + from + 4, body->data + to, body->len + 1 - to);
	body->len -= to - from - 4;
}

static const char *post(struct fixture *f, endpoint *serve, const char *body)
{
	buf_clear(&f->x.request.body);
	buf_add_text(&f->x.request.body, body);
	buf_clear(&f->x.response.body);
	f->x.response.status = HTTP_OK;
	f->x.response.retry_after_s = 0;
	serve(&f->x, f->db);
	assert_non_null(f->x.response.body.data);
	drop_durations(&f->x.response.body);
	drop_baton(&f->x.response.body);
	return f->x.response.body.data;
}

static void expect(struct fixture *f, endpoint *serve, const char *body, const char *want)
{
	assert_string_equal(post(f, serve, body), want);
	assert_int_equal(f->x.response.status, HTTP_OK);
}

/* The body of a pipeline is given from its first request on. */
static const char *pipeline(struct fixture *f, const char *requests)
{
	struct buf body = BUF_INIT;

	buf_addf(&body, "{\"requests\":[%s]}", requests);
	const char *answer = post(f, hrana_pipeline, body.data);
	buf_release(&body);
	return answer;
}

static void expect_results(struct fixture *f, const char *requests, const char *results)
{
	struct buf want = BUF_INIT;

	buf_addf(&want, "{\"baton\":null,\"base_url\":null,\"results\":[%s]}", results);
	assert_string_equal(pipeline(f, requests), want.data);
	assert_int_equal(f->x.response.status, HTTP_OK);
	buf_release(&want);
}

static void expect_refused(struct fixture *f, endpoint *serve, const char *body, const char *code)
{
	char member[64];

	(void)snprintf(member, sizeof member, "\"code\":\"%s\"", code);
	const char *answer = post(f, serve, body);
	if (f->x.response.status != HTTP_BAD_REQUEST || strstr(answer, member) == NULL)
		fail_msg("%s: got %d %s", body, (int)f->x.response.status, answer);
	assert_string_equal(f->x.response.content_type, "application/json");
}

/* For what only prepares the ground. */
static void run(struct fixture *f, const char *sql)
{
	struct buf request = BUF_INIT;

	buf_addf(&request, "{\"type\":\"sequence\",\"sql\":\"%s\"}", sql);
	expect_results(f, request.data, "{\"type\":\"ok\",\"response\":{\"type\":\"sequence\"}}");
	buf_release(&request);
}

static void assert_has(const char *answer, const char *part)
{
	if (strstr(answer, part) == NULL)
		fail_msg("no %s in %s", part, answer);
}

#define EXECUTE(sql) "{\"type\":\"execute\",\"stmt\":{\"sql\":\"" sql "\"}}"
#define CLOSE "{\"type\":\"close\"}"
#define OK(type_and_more) "{\"type\":\"ok\",\"response\":{\"type\":" type_and_more "}}"
#define CLOSED OK("\"close\"")

static void books(struct fixture *f)
{
	run(f, "CREATE TABLE books(id INTEGER PRIMARY KEY, title TEXT, price REAL, cover BLOB)");
}

static void sample_a_insert_is_answered_with_counts(void **state)
{
	struct fixture *f = *state;

	books(f);
	expect_results(
		f,
		"{\"type\":\"execute\",\"stmt\":{\"sql\":\"INSERT INTO books (title, price, cover) "
		"VALUES (?, ?, ?)\",\"args\":[{\"type\":\"text\",\"value\":\"Emma\"},"
		"{\"type\":\"float\",\"value\":9.5},{\"type\":\"blob\",\"base64\":\"AP8Q\"}],"
		"\"named_args\":[],\"want_rows\":true}}," CLOSE,
		OK("\"execute\",\"result\":{\"cols\":[],\"rows\":[],\"affected_row_count\":1,"
		   "\"last_insert_rowid\":\"1\",\"rows_read\":0,\"rows_written\":1}") "," CLOSED);
	expect_results(
		f, EXECUTE("SELECT *, id + 1 FROM books"),
		OK("\"execute\",\"result\":{\"cols\":[{\"name\":\"id\",\"decltype\":\"INTEGER\"},"
		   "{\"name\":\"title\",\"decltype\":\"TEXT\"},"
		   "{\"name\":\"price\",\"decltype\":\"REAL\"},"
		   "{\"name\":\"cover\",\"decltype\":\"BLOB\"},"
		   "{\"name\":\"id + 1\",\"decltype\":null}],"
		   "\"rows\":[[{\"type\":\"integer\",\"value\":\"1\"},"
		   "{\"type\":\"text\",\"value\":\"Emma\"},{\"type\":\"float\",\"value\":9.5},"
		   "{\"type\":\"blob\",\"base64\":\"AP8Q\"},"
		   "{\"type\":\"integer\",\"value\":\"2\"}]],\"affected_row_count\":0,"
		   "\"last_insert_rowid\":null,\"rows_read\":1,\"rows_written\":0}"));
}

static void sample_b_constraint_error_is_inside_a_200(void **state)
{
	struct fixture *f = *state;

	books(f);
	expect_results(f, EXECUTE("INSERT INTO books(id) VALUES (1),(1)") "," CLOSE,
		       "{\"type\":\"error\",\"error\":{\"message\":\"SQLite error: UNIQUE "
		       "constraint failed: books.id\",\"code\":\"SQLITE_CONSTRAINT\","
		       "\"extended_code\":\"SQLITE_CONSTRAINT_PRIMARYKEY\"}}," CLOSED);
}

#define COUNTS(affected, rowid)                                                                    \
	"{\"cols\":[],\"rows\":[],\"affected_row_count\":" affected                                \
	",\"last_insert_rowid\":" rowid ",\"rows_read\":0,\"rows_written\":" affected "}"

static void sample_c_batch_with_stored_sql_skips_the_rollback(void **state)
{
	struct fixture *f = *state;

	books(f);
	expect_results(
		f,
		"{\"type\":\"store_sql\",\"sql_id\":0,\"sql\":\"INSERT INTO books(title) VALUES "
		"(?)\"},"
		"{\"type\":\"batch\",\"batch\":{\"steps\":["
		"{\"stmt\":{\"sql\":\"BEGIN IMMEDIATE\",\"args\":[],\"named_args\":[],"
		"\"want_rows\":false}},"
		"{\"condition\":{\"type\":\"ok\",\"step\":0},\"stmt\":{\"sql_id\":0,"
		"\"args\":[{\"type\":\"text\",\"value\":\"b\"}],\"named_args\":[],\"want_rows\":"
		"true}},"
		"{\"condition\":{\"type\":\"ok\",\"step\":1},\"stmt\":{\"sql\":\"COMMIT\"}},"
		"{\"condition\":{\"type\":\"not\",\"cond\":{\"type\":\"ok\",\"step\":2}},"
		"\"stmt\":{\"sql\":\"ROLLBACK\"}}]}}," CLOSE,
		OK("\"store_sql\"") "," OK(
			"\"batch\",\"result\":{\"step_results\":[" COUNTS("0", "null") "," COUNTS(
				"1", "\"1\"") "," COUNTS("0", "null") ",null],"
								      "\"step_errors\":[null,null,"
								      "null,null]}") "," CLOSED);
	assert_has(pipeline(f, EXECUTE("SELECT count(*) FROM books")),
		   "\"rows\":[[{\"type\":\"integer\",\"value\":\"1\"}]]");
}

static void sample_d_open_transaction_is_rolled_back_with_its_request(void **state)
{
	struct fixture *f = *state;

	books(f);
	expect_results(f,
		       "{\"type\":\"sequence\",\"sql\":\"BEGIN IMMEDIATE; INSERT INTO books(title) "
		       "VALUES ('tx')\"},{\"type\":\"get_autocommit\"}",
		       OK("\"sequence\"") "," OK("\"get_autocommit\",\"is_autocommit\":false"));
	expect_results(f, "{\"type\":\"get_autocommit\"}",
		       OK("\"get_autocommit\",\"is_autocommit\":true"));
	assert_has(pipeline(f, EXECUTE("SELECT count(*) FROM books")), "\"value\":\"0\"");
}

static void sample_e_describe_runs_nothing(void **state)
{
	struct fixture *f = *state;

	run(f, "CREATE TABLE r(a, b, c)");
	expect(f, hrana_pipeline,
	       "{\"baton\":null,\"requests\":[{\"type\":\"describe\",\"sql\":\"INSERT INTO r "
	       "VALUES "
	       "(?,?,?)\",\"sql_id\":null,\"replication_index\":null}]}",
	       "{\"baton\":null,\"base_url\":null,\"results\":[" OK(
		       "\"describe\",\"result\":{\"params\":[{\"name\":null},{\"name\":null},"
		       "{\"name\":null}],\"cols\":[],\"is_explain\":false,"
		       "\"is_readonly\":false}") "]}");
	assert_has(pipeline(f, "{\"type\":\"describe\",\"sql\":\"select ?1, :a, ?4\"}"),
		   "\"params\":[{\"name\":\"?1\"},{\"name\":\":a\"},{\"name\":null},"
		   "{\"name\":\"?4\"}]");
	assert_has(pipeline(f, "{\"type\":\"describe\",\"sql\":\"EXPLAIN QUERY PLAN SELECT 1\"}"),
		   "\"is_explain\":true,\"is_readonly\":true");
	assert_has(pipeline(f, EXECUTE("SELECT count(*) FROM r")), "\"value\":\"0\"");
}

/* Each goes in as an argument and comes back as it is or as `out` says. */
static void values_come_back_as_they_were(void **state)
{
	static const struct {
		const char *in;
		const char *out; /* NULL: the same */
	} values[] = {
		{ "{\"type\":\"null\"}", NULL },
		{ "{\"type\":\"integer\",\"value\":\"9223372036854775807\"}", NULL },
		{ "{\"type\":\"integer\",\"value\":\"-9223372036854775808\"}", NULL },
		{ "{\"type\":\"integer\",\"value\":\"0\"}", NULL },
		{ "{\"type\":\"float\",\"value\":5e-324}", NULL /* below */ },
		{ "{\"type\":\"float\",\"value\":0.1}", NULL },
		{ "{\"type\":\"float\",\"value\":1}", "{\"type\":\"float\",\"value\":1.0}" },
		{ "{\"type\":\"float\",\"value\":1.7976931348623157e308}",
		  "{\"type\":\"float\",\"value\":1.7976931348623157e+308}" },
		{ "{\"type\":\"text\",\"value\":\"\"}", NULL },
		{ "{\"type\":\"text\",\"value\":\"a\\u0000b\"}", NULL },
		{ "{\"type\":\"text\",\"value\":\"\xC3\xA4\xF0\x9F\x98\x80\"}", NULL },
		{ "{\"type\":\"text\",\"value\":\"\\ud83d\\ude00\"}",
		  "{\"type\":\"text\",\"value\":\"\xF0\x9F\x98\x80\"}" },
		{ "{\"type\":\"blob\",\"base64\":\"\"}", NULL },
		{ "{\"type\":\"blob\",\"base64\":\"AA\"}", NULL },
		{ "{\"type\":\"blob\",\"base64\":\"AA==\"}",
		  "{\"type\":\"blob\",\"base64\":\"AA\"}" },
	};
	struct fixture *f = *state;
	char request[300], row[200];

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		const char *out = values[i].out != NULL ? values[i].out : values[i].in;
		(void)snprintf(
			request, sizeof request,
			"{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT ?\",\"args\":[%s]}}",
			values[i].in);
		(void)snprintf(row, sizeof row, "\"rows\":[[%s]]", out);
		if (strstr(values[i].in, "5e-324") != NULL)
			(void)snprintf(row, sizeof row,
				       "\"rows\":[[{\"type\":\"float\",\"value\":4.94065645841247e-"
				       "324}]]");
		assert_has(pipeline(f, request), row);
	}
}

static void argument_types_are_bound_as_they_are(void **state)
{
	struct fixture *f = *state;

	assert_has(pipeline(f,
			    "{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT typeof(?) || "
			    "typeof(?) || typeof(?) || length(CAST(? AS BLOB)) || typeof(?)\","
			    "\"args\":[{\"type\":\"float\",\"value\":1},"
			    "{\"type\":\"integer\",\"value\":\"1\"},"
			    "{\"type\":\"blob\",\"base64\":\"\"},"
			    "{\"type\":\"text\",\"value\":\"a\\u0000b\"},{\"type\":\"null\"}]}}"),
		   "\"value\":\"realintegerblob3null\"");
}

static void values_that_json_cannot_say_are_replaced(void **state)
{
	struct fixture *f = *state;

	assert_has(pipeline(f, EXECUTE("SELECT 9e999, -9e999, CAST(x'61ff62' AS TEXT)")),
		   "[{\"type\":\"float\",\"value\":null},{\"type\":\"float\",\"value\":null},"
		   "{\"type\":\"text\",\"value\":\"a\xEF\xBF\xBD"
		   "b\"}]");
}

/* Had it run, the table would be there. */
static void assert_nothing_ran(struct fixture *f)
{
	assert_has(pipeline(f, EXECUTE("SELECT count(*) FROM sqlite_schema")), "\"value\":\"0\"");
}

static void malformed_value_is_refused_before_anything_runs(void **state)
{
	static const char *const values[] = {
		"{\"type\":\"integer\",\"value\":1}",
		"{\"type\":\"integer\",\"value\":\"12x\"}",
		"{\"type\":\"integer\",\"value\":\"\"}",
		"{\"type\":\"integer\",\"value\":\"-\"}",
		"{\"type\":\"integer\",\"value\":\" 1\"}",
		"{\"type\":\"integer\",\"value\":\"+1\"}",
		"{\"type\":\"integer\",\"value\":\"1\\u0000\"}",
		"{\"type\":\"integer\",\"value\":\"9223372036854775808\"}",
		"{\"type\":\"integer\",\"value\":\"-9223372036854775809\"}",
		"{\"type\":\"float\",\"value\":\"1\"}",
		"{\"type\":\"float\",\"value\":null}",
		"{\"type\":\"float\",\"value\":1e999}",
		"{\"type\":\"float\",\"value\":NaN}",
		"{\"type\":\"text\",\"value\":1}",
		"{\"type\":\"text\"}",
		"{\"type\":\"blob\",\"base64\":\"A\"}",
		"{\"type\":\"blob\",\"base64\":\"AA=\"}",
		"{\"type\":\"blob\",\"base64\":\"A-_A\"}",
		"{\"type\":\"blob\"}",
		"{\"type\":\"boolean\",\"value\":true}",
		"{}",
		"1",
		"null",
		"[]",
	};
	struct fixture *f = *state;
	char body[400];

	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		(void)snprintf(
			body, sizeof body,
			"{\"requests\":[" EXECUTE("CREATE TABLE t(a)") ",{\"type\":\"execute\","
								       "\"stmt\":{\"sql\":\"SELECT "
								       "?\",\"args\":[%s]}}]}",
			values[i]);
		expect_refused(f, hrana_pipeline, body, "MALFORMED_REQUEST");
		(void)snprintf(body, sizeof body,
			       "{\"requests\":[" EXECUTE(
				       "CREATE TABLE t(a)") ",{\"type\":\"execute\","
							    "\"stmt\":{\"sql\":\"SELECT "
							    "?\",\"named_args\":[{\"name\":\"a\","
							    "\"value\":%s}]}}]}",
			       values[i]);
		expect_refused(f, hrana_pipeline, body, "MALFORMED_REQUEST");
	}
	assert_nothing_ran(f);
}

#define STEP(cond) "{\"condition\":" cond ",\"stmt\":{\"sql\":\"SELECT 1\"}}"
#define BATCH(steps) "{\"type\":\"batch\",\"batch\":{\"steps\":[" steps "]}}"

static void malformed_request_is_refused_before_anything_runs(void **state)
{
	static const char *const requests[] = {
		"1",
		"null",
		"{}",
		"{\"type\":\"dance\"}",
		"{\"type\":1}",
		"{\"type\":\"execute\"}",
		"{\"type\":\"execute\",\"stmt\":\"SELECT 1\"}",
		"{\"type\":\"execute\",\"stmt\":{}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql\":1}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT 1\",\"sql_id\":1}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql_id\":1}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql_id\":\"1\"}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT 1\",\"args\":{}}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT 1\",\"named_args\":1}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT 1\",\"named_args\":[{\"value\":"
		"{\"type\":\"null\"}}]}}",
		"{\"type\":\"execute\",\"stmt\":{\"sql\":\"SELECT 1\",\"want_rows\":1}}",
		"{\"type\":\"batch\"}",
		"{\"type\":\"batch\",\"batch\":{}}",
		"{\"type\":\"batch\",\"batch\":{\"steps\":{}}}",
		BATCH("1"),
		BATCH("{}"),
		BATCH(STEP("1")),
		BATCH(STEP("{\"type\":\"ok\",\"step\":0}")),
		BATCH(STEP("null") "," STEP("{\"type\":\"ok\",\"step\":1}")),
		BATCH(STEP("null") "," STEP("{\"type\":\"error\",\"step\":-1}")),
		BATCH(STEP("null") "," STEP("{\"type\":\"ok\",\"step\":\"0\"}")),
		BATCH(STEP("null") "," STEP("{\"type\":\"ok\"}")),
		BATCH(STEP("{\"type\":\"not\"}")),
		BATCH(STEP("{\"type\":\"and\"}")),
		BATCH(STEP("{\"type\":\"or\",\"conds\":[{\"type\":\"xor\"}]}")),
		"{\"type\":\"sequence\"}",
		"{\"type\":\"sequence\",\"sql_id\":0}",
		"{\"type\":\"describe\",\"sql\":null,\"sql_id\":null}",
		"{\"type\":\"store_sql\",\"sql_id\":0}",
		"{\"type\":\"store_sql\",\"sql\":\"SELECT 1\"}",
		"{\"type\":\"store_sql\",\"sql_id\":\"0\",\"sql\":\"SELECT 1\"}",
		"{\"type\":\"close_sql\"}",
		CLOSE "," EXECUTE("SELECT 1"),
		CLOSE "," CLOSE,
	};
	struct fixture *f = *state;
	char body[400];

	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
		(void)snprintf(body, sizeof body,
			       "{\"requests\":[" EXECUTE("CREATE TABLE t(a)") ",%s]}", requests[i]);
		expect_refused(f, hrana_pipeline, body, "MALFORMED_REQUEST");
	}
	assert_nothing_ran(f);
}

static void malformed_body_is_refused(void **state)
{
	static const char *const bodies[] = {
		"",
		"{",
		"[]",
		"1",
		"null",
		"{}",
		"{\"requests\":{}}",
		"{\"requests\":null}",
		"{\"requests\":[],\"baton\":1}",
		"{\"requests\":[]}x",
		"{\"requests\":[\"\xff\"]}",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		expect_refused(f, hrana_pipeline, bodies[i], "MALFORMED_REQUEST");
	expect(f, hrana_pipeline, "{\"requests\":[],\"more\":[1]}",
	       "{\"baton\":null,\"base_url\":null,\"results\":[]}");
}

static void deep_nesting_is_refused(void **state)
{
	struct fixture *f = *state;
	struct buf body = BUF_INIT;

	buf_add_text(&body, "{\"requests\":[");
	for (int i = 0; i < 100000; i++)
		buf_add_text(&body, "[");
	expect_refused(f, hrana_pipeline, body.data, "MALFORMED_REQUEST");
	assert_has(f->x.response.body.data, "nested too deeply");

	buf_clear(&body);
	buf_add_text(&body, "{\"requests\":[{\"type\":\"batch\",\"batch\":{\"steps\":[{\"stmt\":"
			    "{\"sql\":\"SELECT 1\"},\"condition\":");
	for (int i = 0; i < 40; i++)
		buf_add_text(&body, "{\"type\":\"not\",\"cond\":");
	buf_add_text(&body, "{\"type\":\"is_autocommit\"}");
	for (int i = 0; i < 40; i++)
		buf_add_text(&body, "}");
	buf_add_text(&body, "}]}}]}");
	expect_refused(f, hrana_pipeline, body.data, "MALFORMED_REQUEST");
	assert_has(f->x.response.body.data, "conditions are nested too deeply");
	buf_release(&body);
}

static void conditions_decide_which_steps_run(void **state)
{
	static const struct {
		const char *cond;
		bool runs;
	} table[] = {
		{ "null", true },
		{ "{\"type\":\"ok\",\"step\":0}", true }, /* 0 succeeds */
		{ "{\"type\":\"ok\",\"step\":1}", false }, /* 1 fails */
		{ "{\"type\":\"ok\",\"step\":2}", false }, /* 2 is skipped */
		{ "{\"type\":\"error\",\"step\":0}", false },
		{ "{\"type\":\"error\",\"step\":1}", true },
		{ "{\"type\":\"error\",\"step\":2}", true },
		{ "{\"type\":\"not\",\"cond\":{\"type\":\"ok\",\"step\":2}}", true },
		{ "{\"type\":\"not\",\"cond\":{\"type\":\"error\",\"step\":2}}", false },
		{ "{\"type\":\"and\",\"conds\":[]}", true },
		{ "{\"type\":\"or\",\"conds\":[]}", false },
		{ "{\"type\":\"and\",\"conds\":[{\"type\":\"ok\",\"step\":0},"
		  "{\"type\":\"ok\",\"step\":1}]}",
		  false },
		{ "{\"type\":\"and\",\"conds\":[{\"type\":\"ok\",\"step\":0},"
		  "{\"type\":\"error\",\"step\":1}]}",
		  true },
		{ "{\"type\":\"or\",\"conds\":[{\"type\":\"ok\",\"step\":1},"
		  "{\"type\":\"ok\",\"step\":0}]}",
		  true },
		{ "{\"type\":\"or\",\"conds\":[{\"type\":\"ok\",\"step\":1},"
		  "{\"type\":\"ok\",\"step\":2}]}",
		  false },
		{ "{\"type\":\"is_autocommit\"}", true },
	};
	struct fixture *f = *state;
	char request[600];

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		(void)snprintf(
			request, sizeof request,
			BATCH(STEP("null") ",{\"stmt\":{\"sql\":\"SELEC\"}}," STEP(
				"{\"type\":\"ok\",\"step\":1}") ",{\"condition\":%s,\"stmt\":{"
								"\"sql\":\"SELECT 'ran'\"}}"),
			table[i].cond);
		const char *answer = pipeline(f, request);
		if ((strstr(answer, "\"value\":\"ran\"") != NULL) != table[i].runs)
			fail_msg("%s: want %s", table[i].cond, table[i].runs ? "run" : "skipped");
		assert_has(answer, "\"step_errors\":[null,{\"message\":\"SQLite error: near "
				   "\\\"SELEC\\\": syntax error\",\"code\":\"SQL_PARSE_ERROR\"},"
				   "null,null]");
	}
}

static void is_autocommit_is_asked_at_that_moment(void **state)
{
	struct fixture *f = *state;

	expect_results(
		f,
		BATCH("{\"stmt\":{\"sql\":\"BEGIN\"}}," STEP(
			"{\"type\":\"is_autocommit\"}") ",{\"stmt\":{\"sql\":\"COMMIT\"}}"),
		OK("\"batch\",\"result\":{\"step_results\":[" COUNTS("0", "null") ",null," COUNTS(
			"0", "null") "],\"step_errors\":[null,null,null]}"));
}

static void failed_request_does_not_stop_the_ones_behind_it(void **state)
{
	struct fixture *f = *state;
	const char *answer = pipeline(f, EXECUTE("SELECT * FROM nowhere") "," EXECUTE(
						 "SELECT missing") "," EXECUTE("SELECT 'on'"));

	assert_has(answer, "{\"message\":\"SQLite error: no such table: nowhere\","
			   "\"code\":\"SQLITE_UNKNOWN\"}");
	assert_has(answer, "{\"message\":\"SQLite error: no such column: missing\","
			   "\"code\":\"SQL_INPUT_ERROR\"}");
	assert_has(answer, "\"value\":\"on\"");
}

static void statement_and_argument_errors_have_their_codes(void **state)
{
	static const struct {
		const char *stmt;
		const char *code;
	} table[] = {
		{ "\"sql\":\"\"", "SQL_NO_STATEMENT" },
		{ "\"sql\":\" -- only\\n /* comments */ ;\"", "SQL_NO_STATEMENT" },
		{ "\"sql\":\"SELECT 1; SELECT 2\"", "SQL_MANY_STATEMENTS" },
		{ "\"sql\":\"SELECT 1\\u0000\"", "SQL_PARSE_ERROR" },
		{ "\"sql\":\"SELECT ?\"", "ARGS_INVALID" },
		{ "\"sql\":\"SELECT ?\",\"args\":[{\"type\":\"null\"},{\"type\":\"null\"}]",
		  "ARGS_INVALID" },
		{ "\"sql\":\"SELECT :a, :b\",\"named_args\":[{\"name\":\"a\",\"value\":"
		  "{\"type\":\"null\"}}]",
		  "ARGS_INVALID" },
		{ "\"sql\":\"SELECT :a\",\"args\":[{\"type\":\"null\"}],\"named_args\":[{\"name\":"
		  "\"a\",\"value\":{\"type\":\"null\"}}]",
		  "ARGS_BOTH_POSITIONAL_AND_NAMED" },
		{ "\"sql\":\"ATTACH 'x' AS y\"", "SQLITE_AUTH" },
	};
	struct fixture *f = *state;
	char request[300], code[100];

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		(void)snprintf(request, sizeof request, "{\"type\":\"execute\",\"stmt\":{%s}}",
			       table[i].stmt);
		(void)snprintf(code, sizeof code, "\"code\":\"%s\"", table[i].code);
		assert_has(pipeline(f, request), code);
	}
}

static void unwanted_rows_are_left_out_but_happen(void **state)
{
	struct fixture *f = *state;

	books(f);
	assert_has(pipeline(f, "{\"type\":\"execute\",\"stmt\":{\"sql\":\"INSERT INTO books(title) "
			       "VALUES ('a'), ('b') RETURNING id\",\"want_rows\":false}}"),
		   "\"cols\":[{\"name\":\"id\",\"decltype\":\"INTEGER\"}],\"rows\":[],"
		   "\"affected_row_count\":2,\"last_insert_rowid\":\"2\"");
}

static void stored_sql_is_replaced_closed_and_bounded(void **state)
{
	struct fixture *f = *state;
	struct buf requests = BUF_INIT;

	assert_has(pipeline(f, "{\"type\":\"store_sql\",\"sql_id\":-7,\"sql\":\"SELECT 'old'\"},"
			       "{\"type\":\"store_sql\",\"sql_id\":-7,\"sql\":\"SELECT 'new'\"},"
			       "{\"type\":\"close_sql\",\"sql_id\":3},"
			       "{\"type\":\"execute\",\"stmt\":{\"sql_id\":-7,\"sql\":null}},"
			       "{\"type\":\"close_sql\",\"sql_id\":-7}"),
		   "\"value\":\"new\"");
	expect_refused(f, hrana_pipeline,
		       "{\"requests\":[{\"type\":\"store_sql\",\"sql_id\":0,\"sql\":\"SELECT 1\"},"
		       "{\"type\":\"close_sql\",\"sql_id\":0},"
		       "{\"type\":\"sequence\",\"sql_id\":0}]}",
		       "MALFORMED_REQUEST");

	for (int i = 0; i < 257; i++)
		buf_addf(&requests,
			 "{\"type\":\"store_sql\",\"sql_id\":%d,\"sql\":\"SELECT 'stored %d'\"},",
			 i, i);
	buf_add_text(&requests, "{\"type\":\"execute\",\"stmt\":{\"sql_id\":255}}");
	const char *answer = pipeline(f, requests.data);
	assert_has(answer, "\"code\":\"SQL_STORE_TOO_MANY\"");
	assert_has(answer, "\"value\":\"stored 255\"");

	buf_clear(&requests);
	buf_addf(&requests, "{\"type\":\"store_sql\",\"sql_id\":0,\"sql\":\"SELECT %070000d\"}", 1);
	assert_has(pipeline(f, requests.data), "\"code\":\"SQL_STORE_TOO_LARGE\"");
	buf_release(&requests);
}

static void too_large_result_is_an_error_with_nothing_of_it(void **state)
{
	struct fixture *f = *state;
	const char *answer =
		pipeline(f, EXECUTE("SELECT 'before'") "," EXECUTE(
				    "WITH RECURSIVE n(i) AS (SELECT 1 "
				    "UNION ALL SELECT i + 1 FROM n "
				    "LIMIT 100000) SELECT 'row ' || i "
				    "FROM n") "," EXECUTE("SELECT "
							  "zeroblob("
							  "90000)") "," EXECUTE("SELECT 'after'"));

	assert_has(answer, "\"value\":\"before\"");
	assert_has(answer,
		   "{\"type\":\"error\",\"error\":{\"message\":\"the response would be larger "
		   "than 100000 bytes\",\"code\":\"RESPONSE_TOO_LARGE\"}},{\"type\":\"error\"");
	assert_has(answer, "\"value\":\"after\"");
	assert_null(strstr(answer, "row 1"));
	assert_true(strlen(answer) < 2000);
}

static void too_large_result_of_a_write_has_no_effect(void **state)
{
	struct fixture *f = *state;

	books(f);
	const char *answer = pipeline(
		f, EXECUTE("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
			   "LIMIT 2000) INSERT INTO books(title) SELECT hex(zeroblob(50)) "
			   "FROM n RETURNING title") "," EXECUTE("SELECT 'left: ' || count(*) FROM "
								 "books"));
	assert_has(answer, "RESPONSE_TOO_LARGE");
	assert_has(answer, "left: 0");
	run(f, "INSERT INTO books(title) VALUES ('usable')");
}

static void four_thousand_statements_fit_in_one_request(void **state)
{
	struct fixture *f = *state;
	struct buf requests = BUF_INIT;

	run(f, "CREATE TABLE t(a, b)");
	buf_add_text(&requests, EXECUTE("BEGIN"));
	for (int i = 0; i < 4000; i++)
		buf_addf(&requests,
			 ",{\"type\":\"execute\",\"stmt\":{\"sql\":\"INSERT INTO t VALUES (?, ?)\","
			 "\"args\":[{\"type\":\"integer\",\"value\":\"%d\"},{\"type\":\"text\","
			 "\"value\":\"x\"}],\"named_args\":[],\"want_rows\":false}}",
			 i);
	buf_add_text(&requests, "," EXECUTE("COMMIT"));
	pipeline(f, requests.data);
	assert_int_equal(f->x.response.status, HTTP_OK);
	buf_release(&requests);
	assert_has(pipeline(f, EXECUTE("SELECT count(*) FROM t")), "\"value\":\"4000\"");
}

static void too_many_statements_are_refused(void **state)
{
	struct fixture *f = *state;
	struct buf body = BUF_INIT;

	buf_add_text(&body, "{\"requests\":[{\"type\":\"get_autocommit\"}");
	for (int i = 0; i < 20000; i++)
		buf_add_text(&body, ",{\"type\":\"get_autocommit\"}");
	buf_add_text(&body, "]}");
	expect_refused(f, hrana_pipeline, body.data, "MALFORMED_REQUEST");
	buf_release(&body);
}

static void slow_statement_is_interrupted(void **state)
{
	struct fixture *f = *state;
	const char *answer = pipeline(
		f, EXECUTE("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
			   "SELECT count(*) FROM n") "," EXECUTE("SELECT 'after'"));

	assert_has(answer, "{\"message\":\"statement took longer than 300 ms\","
			   "\"code\":\"SQLITE_INTERRUPT\"}");
	assert_has(answer, "\"value\":\"after\"");
}

static void read_only_token_cannot_write(void **state)
{
	struct fixture *f = *state;

	books(f);
	f->x.read_only = true;
	const char *answer = pipeline(
		f, EXECUTE("INSERT INTO books(id) VALUES (1)") "," EXECUTE(
			   "SELECT 'rows: ' || count(*) FROM books") ","
								     "{\"type\":\"sequence\","
								     "\"sql\":\"SELECT 1; DROP "
								     "TABLE books\"}");
	assert_has(answer, "{\"message\":\"the token allows reading only\","
			   "\"code\":\"SQLITE_READONLY\"}},{\"type\":\"ok\"");
	assert_has(answer, "rows: 0");
	assert_has(answer, "\"code\":\"SQLITE_READONLY\"}}]}");
	f->x.read_only = false;
	run(f, "INSERT INTO books(id) VALUES (1)");
}

static void locked_database_is_busy(void **state)
{
	struct fixture *f = *state;

	books(f);
	struct userdb *other = scratch_open(&f->scratch);
	run_sql(other, "BEGIN IMMEDIATE");
	assert_has(pipeline(f, EXECUTE("INSERT INTO books(id) VALUES (1)")),
		   "\"code\":\"SQLITE_BUSY\"");
	assert_has(post(f, hrana_execute, "{\"stmt\":{\"sql\":\"DELETE FROM books\"}}"),
		   "\"code\":\"SQLITE_BUSY\",\"error\":\"SQLite error: database is locked\"");
	assert_int_equal(f->x.response.status, HTTP_UNAVAILABLE);
	assert_int_equal(f->x.response.retry_after_s, 1);
	userdb_close(other);
	run(f, "INSERT INTO books(id) VALUES (1)");
}

static void single_statement_answers_with_its_result(void **state)
{
	struct fixture *f = *state;

	expect(f, hrana_execute, "{\"stmt\":{\"sql\":\"SELECT 1 AS one\"}}",
	       "{\"result\":{\"cols\":[{\"name\":\"one\",\"decltype\":null}],"
	       "\"rows\":[[{\"type\":\"integer\",\"value\":\"1\"}]],\"affected_row_count\":0,"
	       "\"last_insert_rowid\":null,\"rows_read\":1,\"rows_written\":0}}");
	assert_string_equal(
		post(f, hrana_execute, "{\"stmt\":{\"sql\":\"SELECT * FROM nowhere\"}}"),
		"{\"message\":\"SQLite error: no such table: nowhere\","
		"\"code\":\"SQLITE_UNKNOWN\","
		"\"error\":\"SQLite error: no such table: nowhere\"}");
	assert_int_equal(f->x.response.status, HTTP_BAD_REQUEST);
	expect_refused(f, hrana_execute, "{\"stmt\":{\"sql_id\":0}}", "MALFORMED_REQUEST");
	expect_refused(f, hrana_execute, "{\"requests\":[]}", "MALFORMED_REQUEST");
}

static void single_batch_answers_with_results_and_errors(void **state)
{
	struct fixture *f = *state;

	expect(f, hrana_batch,
	       "{\"batch\":{\"steps\":[{\"stmt\":{\"sql\":\"CREATE TABLE t(a)\"}},"
	       "{\"stmt\":{\"sql\":\"SELEC\"}},{\"condition\":{\"type\":\"ok\",\"step\":1},"
	       "\"stmt\":{\"sql\":\"DROP TABLE t\"}}]}}",
	       "{\"result\":{\"step_results\":[" COUNTS(
		       "0", "null") ",null,null],"
				    "\"step_errors\":[null,{\"message\":\"SQLite error: near "
				    "\\\"SELEC\\\": syntax "
				    "error\",\"code\":\"SQL_PARSE_ERROR\"},null]}}");
	expect_refused(f, hrana_batch, "{\"batch\":[]}", "MALFORMED_REQUEST");
}

static bool would_write(struct fixture *f, const char *body)
{
	static const enum hrana_endpoint endpoints[] = { HRANA_PIPELINE, HRANA_EXECUTE,
							 HRANA_BATCH };

	buf_clear(&f->x.request.body);
	buf_add_text(&f->x.request.body, body);
	bool writes = false;

	/* A body may be good for more than one of the endpoints. */
	for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints && !writes; i++) {
		struct hrana *h = hrana_new(endpoints[i], &f->x);
		writes = h != NULL && hrana_check(h, &f->x, NULL) &&
			 hrana_would_write(h, &f->x, f->db, NULL);
		hrana_free(h);
	}
	return writes;
}

static void would_write_is_what_sqlite_says_and_runs_nothing(void **state)
{
	static const struct {
		const char *body;
		bool writes;
	} table[] = {
		{ "{\"requests\":[" EXECUTE("SELECT * FROM t") "]}", false },
		{ "{\"requests\":[" EXECUTE("INSERT INTO t VALUES (1)") "]}", true },
		{ "{\"requests\":[" EXECUTE("INSERT INTO nowhere VALUES (1)") "]}", false },
		{ "{\"requests\":[" EXECUTE("CREATE TABLE new(a)") "," EXECUTE(
			  "INSERT INTO new VALUES (1)") "]}",
		  true },
		{ "{\"requests\":[" EXECUTE("WITH x AS (SELECT 1) DELETE FROM t") "]}", true },
		{ "{\"requests\":[" EXECUTE("PRAGMA user_version=5") "]}", true },
		{ "{\"requests\":[" EXECUTE("PRAGMA foreign_keys=OFF") "]}", false },
		{ "{\"requests\":[" EXECUTE("PRAGMA optimize") "]}", true },
		{ "{\"requests\":[" EXECUTE("EXPLAIN DELETE FROM t") "]}", false },
		{ "{\"requests\":[{\"type\":\"sequence\",\"sql\":\"SELECT 1; DELETE FROM t\"}]}",
		  true },
		{ "{\"requests\":[{\"type\":\"sequence\",\"sql\":\"SELECT 1; SELECT 2\"}]}",
		  false },
		{ "{\"requests\":[{\"type\":\"describe\",\"sql\":\"DELETE FROM t\"}]}", false },
		{ "{\"requests\":[{\"type\":\"store_sql\",\"sql_id\":1,\"sql\":\"DELETE FROM t\"},"
		  "{\"type\":\"execute\",\"stmt\":{\"sql_id\":1}}]}",
		  true },
		{ "{\"requests\":[{\"type\":\"store_sql\",\"sql_id\":1,\"sql\":\"DELETE FROM "
		  "t\"}]}",
		  false },
		{ "{\"requests\":[" BATCH("{\"stmt\":{\"sql\":\"BEGIN\"}},{\"stmt\":{\"sql\":"
					  "\"DELETE FROM t\"}}") "]}",
		  true },
		{ "{\"stmt\":{\"sql\":\"DELETE FROM t\"}}", true },
		{ "{\"stmt\":{\"sql\":\"SELECT 1\"}}", false },
		{ "{\"batch\":{\"steps\":[{\"stmt\":{\"sql\":\"DELETE FROM t\"}}]}}", true },
		{ "{\"requests\":[],\"stmt\":{\"sql\":\"DELETE FROM t\"}}", true },
		{ "{\"requests\":[1]}", false },
		{ "not json", false },
		{ "", false },
	};
	struct fixture *f = *state;

	run(f, "CREATE TABLE t(a)");
	run(f, "INSERT INTO t VALUES (1)");
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (would_write(f, table[i].body) != table[i].writes)
			fail_msg("%s: want %d", table[i].body, table[i].writes);
	assert_false(sandbox_tainted(userdb_sandbox(f->db)));
	assert_has(pipeline(f, EXECUTE("SELECT count(*) || (SELECT count(*) FROM sqlite_schema) || "
				       "(SELECT foreign_keys FROM pragma_foreign_keys) FROM t")),
		   "\"value\":\"111\"");
	f->x.read_only = true;
	assert_false(would_write(f, "{\"stmt\":{\"sql\":\"DELETE FROM t\"}}"));
}

static void migration_switches_foreign_keys_off_and_on(void **state)
{
	struct fixture *f = *state;

	run(f, "CREATE TABLE p(id INTEGER PRIMARY KEY); CREATE TABLE c(p REFERENCES p)");
	assert_has(pipeline(f, EXECUTE("INSERT INTO c VALUES (1)")),
		   "\"extended_code\":\"SQLITE_CONSTRAINT_FOREIGNKEY\"");
	assert_false(sandbox_tainted(userdb_sandbox(f->db)));
	const char *answer =
		pipeline(f, BATCH("{\"stmt\":{\"sql\":\"PRAGMA "
				  "foreign_keys=off\"}},{\"stmt\":{\"sql\":\"BEGIN\"}},"
				  "{\"stmt\":{\"sql\":\"INSERT INTO c VALUES (1)\"}},"
				  "{\"stmt\":{\"sql\":\"COMMIT\"}},"
				  "{\"stmt\":{\"sql\":\"PRAGMA foreign_keys=on\"}},"
				  "{\"stmt\":{\"sql\":\"INSERT INTO c VALUES (2)\"}}"));
	assert_has(answer, "\"step_errors\":[null,null,null,null,null,{\"message\":\"SQLite error: "
			   "FOREIGN KEY constraint failed\"");
	assert_true(sandbox_tainted(userdb_sandbox(f->db)));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(sample_a_insert_is_answered_with_counts),
		TEST(sample_b_constraint_error_is_inside_a_200),
		TEST(sample_c_batch_with_stored_sql_skips_the_rollback),
		TEST(sample_d_open_transaction_is_rolled_back_with_its_request),
		TEST(sample_e_describe_runs_nothing),
		TEST(values_come_back_as_they_were),
		TEST(argument_types_are_bound_as_they_are),
		TEST(values_that_json_cannot_say_are_replaced),
		TEST(malformed_value_is_refused_before_anything_runs),
		TEST(malformed_request_is_refused_before_anything_runs),
		TEST(malformed_body_is_refused),
		TEST(deep_nesting_is_refused),
		TEST(conditions_decide_which_steps_run),
		TEST(is_autocommit_is_asked_at_that_moment),
		TEST(failed_request_does_not_stop_the_ones_behind_it),
		TEST(statement_and_argument_errors_have_their_codes),
		TEST(unwanted_rows_are_left_out_but_happen),
		TEST(stored_sql_is_replaced_closed_and_bounded),
		TEST(too_large_result_is_an_error_with_nothing_of_it),
		TEST(too_large_result_of_a_write_has_no_effect),
		TEST(four_thousand_statements_fit_in_one_request),
		TEST(too_many_statements_are_refused),
		TEST(slow_statement_is_interrupted),
		TEST(read_only_token_cannot_write),
		TEST(locked_database_is_busy),
		TEST(single_statement_answers_with_its_result),
		TEST(single_batch_answers_with_results_and_errors),
		TEST(would_write_is_what_sqlite_says_and_runs_nothing),
		TEST(migration_switches_foreign_keys_off_and_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
