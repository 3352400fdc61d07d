#include "base/log.h"

#include "fixture.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { LINE_SPACE = 8192, LINE_MAX_LEN = 2048 };

/* stderr as datagrams: each write is one of them. */
struct capture {
	int saved;
	int ends[2];
};

static void capture_begin(struct capture *c)
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, c->ends), 0);
	c->saved = redirect_stderr(c->ends[1]);
	close(c->ends[1]);
}

static void capture_end(struct capture *c)
{
	restore_stderr(c->saved);
	close(c->ends[0]);
}

/* The next write, "" if there was none. */
static size_t take_write(const struct capture *c, char line[LINE_SPACE])
{
	ssize_t n = recv(c->ends[0], line, LINE_SPACE - 1, MSG_DONTWAIT);
	size_t len = n < 0 ? 0 : (size_t)n;

	line[len] = '\0';
	return len;
}

static const char *after_head(const char *line, const char *event)
{
	const char *found = strstr(line, event);

	assert_non_null(found);
	return found + strlen(event);
}

static void event_is_one_line_in_one_write(void **state)
{
	struct capture c;
	char line[LINE_SPACE], more[LINE_SPACE], want[64];
	int year, month, day, hour, minute, second, ms, end = 0;

	(void)state;
	capture_begin(&c);
	log_init(LOG_LEVEL_INFO, "worker");
	log_request("7f3a9c");
	log_info("push.done", "user=%s bytes=%d", "alice", 17);
	take_write(&c, line);
	take_write(&c, more);
	capture_end(&c);
	assert_string_equal(more, "");
	assert_int_equal(sscanf(line, "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year, &month, &day, &hour,
				&minute, &second, &ms, &end),
			 7);
	assert_int_equal(end, strlen("2026-08-22T10:11:12.345Z"));
	(void)snprintf(want, sizeof want, " info worker[%d] 7f3a9c push.done user=alice bytes=17\n",
		       (int)getpid());
	assert_string_equal(line + end, want);
}

static void bytes_that_break_a_line_or_a_terminal_are_replaced(void **state)
{
	struct capture c;
	char line[LINE_SPACE], hostile[128];

	(void)state;
	for (int i = 1; i < 0x20; i++)
		hostile[i - 1] = (char)i;
	memcpy(hostile + 31, "\x7f ~\xc3\xa9", 6);
	capture_begin(&c);
	log_request("a\nb");
	log_error("test.event", "text=%s", hostile);
	size_t len = take_write(&c, line);
	capture_end(&c);
	assert_non_null(strstr(line, " a?b test.event "));
	assert_string_equal(after_head(line, "text="), "????????????????????????????????"
						       " ~\xc3\xa9\n");
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void long_line_is_cut_and_still_one_write(void **state)
{
	static const size_t lengths[] = { 1000, 1900, 1950, 1990, 2040, 2047, 2048, 2049, 5000 };
	static char text[5001];
	struct capture c;
	char line[LINE_SPACE], more[LINE_SPACE];

	(void)state;
	log_request("");
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		memset(text, 'x', sizeof text - 1);
		text[lengths[i]] = '\0';
		capture_begin(&c);
		log_error("test.event", "%s", text);
		size_t len = take_write(&c, line);
		take_write(&c, more);
		capture_end(&c);
		assert_string_equal(more, "");
		assert_true(len <= LINE_MAX_LEN);
		assert_ptr_equal(strchr(line, '\n'), line + len - 1);
		size_t kept = strspn(after_head(line, "test.event "), "x");
		if (kept != lengths[i])
			assert_true(kept < lengths[i] && len >= LINE_MAX_LEN - 2);
	}
}

static void head_that_is_too_long_is_cut_as_well(void **state)
{
	static char event[5001];
	struct capture c;
	char line[LINE_SPACE];

	(void)state;
	memset(event, 'e', sizeof event - 1);
	capture_begin(&c);
	log_error(event, "%s", "facts");
	size_t len = take_write(&c, line);
	capture_end(&c);
	assert_true(len > 0 && len <= LINE_MAX_LEN);
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
}

static void less_important_events_are_dropped(void **state)
{
	static const struct {
		enum log_level most;
		const char *kept;
	} cases[] = {
		{ LOG_LEVEL_ERROR, "e" },
		{ LOG_LEVEL_WARN, "ew" },
		{ LOG_LEVEL_INFO, "ewi" },
		{ LOG_LEVEL_DEBUG, "ewid" },
	};
	struct capture c;
	char line[LINE_SPACE];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char kept[8] = "";

		capture_begin(&c);
		log_init(cases[i].most, "main");
		log_error("e.x", "%s", "");
		log_warn("w.x", "%s", "");
		log_info("i.x", "%s", "");
		log_debug("d.x", "%s", "");
		while (take_write(&c, line) > 0)
			strncat(kept, strstr(line, ".x") - 1, 1);
		capture_end(&c);
		assert_string_equal(kept, cases[i].kept);
	}
	log_init(LOG_LEVEL_INFO, "main");
}

static void request_id_is_cut_to_15_and_a_dash_when_there_is_none(void **state)
{
	struct capture c;
	char first[LINE_SPACE], second[LINE_SPACE];

	(void)state;
	capture_begin(&c);
	log_request("0123456789abcdefgh");
	log_error("test.event", "%s", "");
	log_request("");
	log_error("test.event", "%s", "");
	take_write(&c, first);
	take_write(&c, second);
	capture_end(&c);
	assert_non_null(strstr(first, " 0123456789abcde test.event"));
	assert_non_null(strstr(second, " - test.event"));
}

static void level_names_are_parsed_and_nothing_else(void **state)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	static const char *const others[] = { "", "Error", "warning", "inf", "info " };
	enum log_level level = LOG_LEVEL_ERROR;

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(log_level_parse(names[i], &level), 0);
		assert_int_equal(level, i);
	}
	for (unsigned i = 0; i < sizeof others / sizeof others[0]; i++)
		assert_int_equal(log_level_parse(others[i], &level), -1);
}

static void stderr_that_is_gone_is_survived(void **state)
{
	(void)state;
	int saved = redirect_stderr(STDERR_FILENO);
	close(STDERR_FILENO);
	log_error("test.event", "%s", "to nobody");
	restore_stderr(saved);
}

/* JOURNAL_STREAM as systemd sets it for the file behind `fd`. */
static void set_journal(int fd, unsigned long more)
{
	struct stat st;
	char stream[64];

	assert_int_equal(fstat(fd, &st), 0);
	(void)snprintf(stream, sizeof stream, "%lu:%lu", (unsigned long)st.st_dev,
		       (unsigned long)st.st_ino + more);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
}

static void lines_for_the_journal_begin_with_their_priority(void **state)
{
	static const char *const want[] = { "<3>20", "<4>20", "<6>20", "<7>20" };
	struct capture c;
	char line[LINE_SPACE];

	(void)state;
	capture_begin(&c);
	set_journal(STDERR_FILENO, 0);
	log_init(LOG_LEVEL_DEBUG, "main");
	for (int level = LOG_LEVEL_ERROR; level <= LOG_LEVEL_DEBUG; level++) {
		log_event((enum log_level)level, "test.event", "%s", "");
		take_write(&c, line);
		assert_memory_equal(line, want[level], strlen(want[level]));
	}
	capture_end(&c);
}

static void stderr_that_is_not_the_journal_gets_no_priorities(void **state)
{
	static const char *const others[] = { "", "1", "1:", ":", "x:y" };
	struct capture c;
	char line[LINE_SPACE];

	(void)state;
	capture_begin(&c);
	for (size_t i = 0; i <= sizeof others / sizeof *others; i++) {
		if (i < sizeof others / sizeof *others)
			assert_int_equal(setenv("JOURNAL_STREAM", others[i], 1), 0);
		else
			set_journal(STDERR_FILENO, 1);
		log_init(LOG_LEVEL_INFO, "main");
		log_error("test.event", "%s", "");
		take_write(&c, line);
		assert_memory_equal(line, "20", 2);
	}
	capture_end(&c);
	unsetenv("JOURNAL_STREAM");
}

static void repeated_warnings_of_one_subject_end_in_a_sum(void **state)
{
	struct capture c;
	char line[LINE_SPACE];
	int lines = 0;

	(void)state;
	capture_begin(&c);
	for (int i = 0; i < 50; i++) {
		log_warn("push.failed", "user=%s txid=%d", "zoe", i);
		log_info("push.seen", "user=%s txid=%d", "zoe", i);
		while (take_write(&c, line) > 0)
			lines += strstr(line, " push.failed user=zoe ") != NULL;
	}
	log_settle();
	assert_int_equal(take_write(&c, line), 0);
	log_end();
	take_write(&c, line);
	capture_end(&c);
	assert_int_equal(lines, 5);
	assert_string_equal(after_head(line, "log.suppressed"),
			    " event=push.failed subject=zoe lines=45\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(event_is_one_line_in_one_write),
		cmocka_unit_test(bytes_that_break_a_line_or_a_terminal_are_replaced),
		cmocka_unit_test(long_line_is_cut_and_still_one_write),
		cmocka_unit_test(head_that_is_too_long_is_cut_as_well),
		cmocka_unit_test(less_important_events_are_dropped),
		cmocka_unit_test(request_id_is_cut_to_15_and_a_dash_when_there_is_none),
		cmocka_unit_test(level_names_are_parsed_and_nothing_else),
		cmocka_unit_test(stderr_that_is_gone_is_survived),
		cmocka_unit_test(lines_for_the_journal_begin_with_their_priority),
		cmocka_unit_test(stderr_that_is_not_the_journal_gets_no_priorities),
		cmocka_unit_test(repeated_warnings_of_one_subject_end_in_a_sum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
