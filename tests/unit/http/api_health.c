#include "http/api_health.h"

#include "fixture.h"

struct place {
	struct folder folder;
	struct service service;
};

static int make_place(void **state)
{
	static struct place p;
	char path[FOLDER_FILE_MAX];

	p = (struct place){ .service = { .worker = 3 } };
	folder_init(&p.folder);
	(void)snprintf(path, sizeof path, "%s/table", p.folder.path);
	p.service.table = table_create(path, 64);
	assert_non_null(p.service.table);
	table_worker_born(p.service.table, 3, (uint32_t)getpid());
	p.service.data = p.folder.path;
	*state = &p;
	return 0;
}

static int clear_place(void **state)
{
	struct place *p = *state;

	table_free(p->service.table);
	folder_release(&p->folder);
	return 0;
}

static void expect_ready(struct place *p, enum http_status status, const char *word)
{
	struct exchange x = { .response = { .status = HTTP_OK } };

	assert_int_equal(serve_ready(&p->service, &x), SERVE_DONE);
	assert_int_equal(x.response.status, status);
	assert_non_null(strstr(x.response.body.data, word));
	buf_release(&x.response.body);
}

static void a_worker_with_data_and_table_is_ready(void **state)
{
	expect_ready(*state, HTTP_OK, "ready");
}

static void a_worker_that_leaves_is_not(void **state)
{
	struct place *p = *state;

	p->service.leaves = true;
	expect_ready(p, HTTP_UNAVAILABLE, "STOPPING");
	p->service.leaves = false;
	p->service.ends = true;
	expect_ready(p, HTTP_UNAVAILABLE, "STOPPING");
}

static void a_worker_whose_place_in_the_table_is_not_its_own_is_not(void **state)
{
	struct place *p = *state;

	table_worker_died(p->service.table, 3);
	expect_ready(p, HTTP_UNAVAILABLE, "NO_TABLE");
	table_worker_born(p->service.table, 3, (uint32_t)getpid() + 1);
	expect_ready(p, HTTP_UNAVAILABLE, "NO_TABLE");
}

static void a_worker_without_its_data_directory_is_not(void **state)
{
	struct place *p = *state;

	p->service.data = "/nowhere/at/all";
	expect_ready(p, HTTP_UNAVAILABLE, "NO_DATA");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_worker_with_data_and_table_is_ready, make_place,
						clear_place),
		cmocka_unit_test_setup_teardown(a_worker_that_leaves_is_not, make_place,
						clear_place),
		cmocka_unit_test_setup_teardown(
			a_worker_whose_place_in_the_table_is_not_its_own_is_not, make_place,
			clear_place),
		cmocka_unit_test_setup_teardown(a_worker_without_its_data_directory_is_not,
						make_place, clear_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
