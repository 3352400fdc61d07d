#include "http/handover.h"

#include "base/log.h"
#include "http/fcgi.h"
#include "http/fcgi_client.h"

enum { WORKERS = 3, TO = 2, BODY = 1 << 20, FULL_AT_MOST = 100000 };

static int set_up(void **state)
{
	log_init(LOG_LEVEL_ERROR, "test");
	*state = handover_new(WORKERS);
	return *state == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
	handover_free(*state);
	return 0;
}

static struct parcel parcel_of(int connection)
{
	struct parcel p = {
		.connection = connection,
		.fcgi_id = 1,
		.id = "abc",
		.path = "/v3/pipeline",
		.user = { "alice" },
		.read_only = true,
		.arrived_ms = 12345,
		.hops = 2,
	};

	return p;
}

/* A connection: [0] is nginx's end. */
static void connect_pair(int out[static 2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, out), 0);
}

static bool is_closed(int fd)
{
	char c;

	return recv(fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void request_arrives_whole_at_whom_it_was_sent_to(void **state)
{
	struct parcel got, p;
	int pair[2];

	connect_pair(pair);
	p = parcel_of(pair[1]);
	for (size_t i = 0; i < BODY; i++)
		buf_add(&p.body, &"0123456789"[i % 10], 1);
	assert_false(handover_receive(*state, TO, &got));
	assert_int_equal(handover_send(*state, TO, &p), 0);
	close(pair[1]);
	assert_false(handover_receive(*state, 0, &got));
	assert_true(handover_receive(*state, TO, &got));
	assert_string_equal(got.path, p.path);
	assert_string_equal(got.id, p.id);
	assert_string_equal(got.user.text, "alice");
	assert_true(got.read_only);
	assert_int_equal(got.arrived_ms, 12345);
	assert_int_equal(got.hops, 2);
	assert_int_equal(got.body.len, BODY);
	assert_memory_equal(got.body.data, p.body.data, BODY + 1);
	assert_false(is_closed(pair[0]));
	close(got.connection);
	assert_true(is_closed(pair[0]));
	assert_false(handover_receive(*state, TO, &got));
	close(pair[0]);
	buf_release(&got.body);
	buf_release(&p.body);
}

static int answer_in_child(void *arg)
{
	struct handover *h = arg;
	struct response response = { .status = HTTP_OK, .content_type = "application/json" };
	const struct fcgi_extra extra = { .sync_status = "failed" };
	struct parcel p;

	while (!handover_receive(h, TO, &p))
		usleep(1000);
	buf_add(&response.body, p.body.data, p.body.len);
	size_t sent = fcgi_answer(fcgi_adopt(p.connection, p.fcgi_id), &response, &extra);
	int result = sent == p.body.len ? 0 : 1;
	buf_release(&response.body);
	buf_release(&p.body);
	handover_free(h);
	return result;
}

static void other_process_answers_on_the_connection(void **state)
{
	struct parcel p;
	struct answer a;
	int pair[2];

	connect_pair(pair);
	pid_t child = child_start(answer_in_child, *state);
	p = parcel_of(pair[1]);
	for (size_t i = 0; i < BODY; i++)
		buf_add(&p.body, &"0123456789"[i % 10], 1);
	assert_int_equal(handover_send(*state, TO, &p), 0);
	close(pair[1]);
	client_finish(pair[0], &a);
	child_ends_well(child);
	assert_int_equal(answer_status(&a), 200);
	assert_true(answer_has(&a, "X-Sync-Status: failed"));
	assert_int_equal(a.body.len, BODY);
	assert_memory_equal(a.body.data, p.body.data, BODY);
	answer_release(&a);
	buf_release(&p.body);
}

static int receive_and_die(void *arg)
{
	struct parcel p;

	while (!handover_receive(arg, TO, &p))
		usleep(1000);
	buf_release(&p.body);
	handover_free(arg);
	return 0;
}

static void connection_of_a_receiver_that_dies_ends_without_an_answer(void **state)
{
	struct parcel p;
	struct answer a;
	int pair[2];

	connect_pair(pair);
	pid_t child = child_start(receive_and_die, *state);
	p = parcel_of(pair[1]);
	assert_int_equal(handover_send(*state, TO, &p), 0);
	close(pair[1]);
	child_ends_well(child);
	client_finish(pair[0], &a);
	assert_int_equal(answer_status(&a), -1);
	answer_release(&a);
}

static void what_waits_for_a_dead_one_is_discarded_and_closed(void **state)
{
	struct parcel p, got;
	int pair[2];

	connect_pair(pair);
	p = parcel_of(pair[1]);
	assert_int_equal(handover_send(*state, TO, &p), 0);
	assert_int_equal(handover_send(*state, TO, &p), 0);
	close(pair[1]);
	assert_false(is_closed(pair[0]));
	handover_discard(*state, TO);
	assert_true(is_closed(pair[0]));
	assert_false(handover_receive(*state, TO, &got));
	close(pair[0]);
}

static void sending_to_one_that_does_not_receive_fails_in_the_end(void **state)
{
	struct parcel p;
	int pair[2], sent = 0;

	connect_pair(pair);
	p = parcel_of(pair[1]);
	while (sent < FULL_AT_MOST && handover_send(*state, TO, &p) == 0)
		sent++;
	assert_in_range(sent, 20, FULL_AT_MOST - 1);
	/* It is still the sender's. */
	assert_int_equal(send(pair[1], "x", 1, MSG_NOSIGNAL), 1);
	assert_int_equal(handover_send(*state, 0, &p), 0);
	handover_discard(*state, TO);
	assert_int_equal(handover_send(*state, TO, &p), 0);
	handover_discard(*state, TO);
	handover_discard(*state, 0);
	close(pair[0]);
	close(pair[1]);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(request_arrives_whole_at_whom_it_was_sent_to),
		TEST(other_process_answers_on_the_connection),
		TEST(connection_of_a_receiver_that_dies_ends_without_an_answer),
		TEST(what_waits_for_a_dead_one_is_discarded_and_closed),
		TEST(sending_to_one_that_does_not_receive_fails_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
