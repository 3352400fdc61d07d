/*
 * JSON as a value of SQL and as a condition: a value that is accepted, written and read
 * again, is the same; a condition that is accepted asks for earlier steps only.
 */
#include "http/hrana_cond.h"
#include "http/hrana_value.h"

#include <assert.h>
#include <string.h>

enum { STEPS = 3 };

static const struct json_limits limits = { 1 << 16, 64, 1000 };

static struct json_doc *parse(const char *text, size_t len)
{
	char why[128];

	return json_parse(text, len, &limits, why, sizeof why);
}

static void check_same(const struct stmt_value *a, const struct stmt_value *b)
{
	assert(a->type == b->type);
	switch (a->type) {
	case STMT_NULL:
		break;
	case STMT_INTEGER:
		assert(a->integer == b->integer);
		break;
	case STMT_REAL:
		assert(memcmp(&a->real, &b->real, sizeof a->real) == 0);
		break;
	case STMT_TEXT:
	case STMT_BLOB:
		assert(a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0);
		break;
	}
}

static void check_value(const struct json *v)
{
	struct buf blob = BUF_INIT, blob_again = BUF_INIT, text = BUF_INIT;
	struct stmt_value value, again;

	if (hrana_value_read(v, &blob, &value) == 0) {
		struct json_writer *w = json_writer_new(&text);
		hrana_value_put(w, &value);
		json_writer_free(w);
		struct json_doc *doc = parse(text.data, text.len);
		assert(doc != NULL);
		assert(hrana_value_read(json_root(doc), &blob_again, &again) == 0);
		check_same(&value, &again);
		json_free(doc);
	}
	buf_release(&blob);
	buf_release(&blob_again);
	buf_release(&text);
}

/* `succeeded` has as many elements as there are earlier steps: not one more is read. */
static void check_condition(const struct json *v)
{
	for (size_t step = 0; step <= STEPS; step++) {
		bool succeeded[STEPS] = { false };
		const struct hrana_progress before = { succeeded + STEPS - step, true };
		const char *why = hrana_cond_check(v, step);
		if (why != NULL) {
			assert(why[0] != '\0');
			continue;
		}
		bool held = hrana_cond_holds(v, &before);
		assert(hrana_cond_check(v, step + 1) == NULL);
		assert(hrana_cond_holds(v, &before) == held);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct json_doc *doc = parse((const char *)data, len);

	if (doc == NULL)
		return 0;
	check_value(json_root(doc));
	check_condition(json_root(doc));
	json_free(doc);
	return 0;
}
