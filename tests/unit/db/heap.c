#include "db/heap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <pthread.h>
#include <sqlite3.h>

static void *take_much(void *owner)
{
	(void)owner;
	return sqlite3_malloc(100000);
}

static void share_is_one_threads_and_no_others(void **state)
{
	struct heap_share share = { .most = 10000 };
	pthread_t other;
	void *theirs = NULL;

	(void)state;
	heap_init();
	heap_charge(&share);
	void *ours = sqlite3_malloc(6000);
	assert_non_null(ours);
	assert_null(sqlite3_malloc(6000));
	assert_null(sqlite3_realloc(ours, 20000));
	assert_int_equal(pthread_create(&other, NULL, take_much, NULL), 0);
	assert_int_equal(pthread_join(other, &theirs), 0);
	assert_non_null(theirs);
	sqlite3_free(ours);
	assert_int_equal(share.used, 0);
	ours = sqlite3_realloc(sqlite3_malloc(5000), 9000);
	assert_non_null(ours);
	heap_charge(NULL);
	void *more = sqlite3_malloc(100000);
	assert_non_null(more);
	sqlite3_free(more);
	sqlite3_free(ours);
	sqlite3_free(theirs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(share_is_one_threads_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
