#include "proc/takeover.h"

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>

/* What a test says and what comes out at the other end. */
struct world {
	int file;
	struct takeover said, heard;
};

static int set_up(void **state)
{
	static struct world w;

	w = (struct world){ .file = takeover_new_file() };
	assert_int_not_equal(w.file, -1);
	w.said.node = 0x1234567890abcdef;
	w.said.workers = 3;
	w.said.nsockets = 2;
	w.said.listener[1] = 17;
	w.said.worker[5] = (struct pool_worker){ .pid = 4711, .state = 2, .asked_ms = 99 };
	(void)strcpy(w.said.data, "/srv/data");
	(void)strcpy(w.said.socket, "/run/app.%d.sock");
	*state = &w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	return close(w->file);
}

static int read_silently(struct world *w)
{
	int before = silence_stderr();
	int result = takeover_read(w->file, &w->heard);

	restore_stderr(before);
	return result;
}

static bool fits(struct world *w, const char *socket, unsigned nsockets, const char *data)
{
	int before = silence_stderr();
	bool result = takeover_fits(&w->said, socket, nsockets, data);

	restore_stderr(before);
	return result;
}

static void what_is_written_is_read(void **state)
{
	struct world *w = *state;

	assert_int_equal(takeover_write(w->file, &w->said), 0);
	assert_int_equal(takeover_read(w->file, &w->heard), 0);
	assert_memory_equal(&w->heard, &w->said, sizeof w->said);
}

static void second_writing_replaces_the_first(void **state)
{
	struct world *w = *state;

	assert_int_equal(takeover_write(w->file, &w->said), 0);
	w->said.worker[5].pid = 4712;
	assert_int_equal(takeover_write(w->file, &w->said), 0);
	assert_int_equal(takeover_read(w->file, &w->heard), 0);
	assert_int_equal(w->heard.worker[5].pid, 4712);
}

static void file_of_another_version_is_refused(void **state)
{
	struct world *w = *state;
	uint64_t magic;

	assert_int_equal(takeover_write(w->file, &w->said), 0);
	assert_int_equal(pread(w->file, &magic, sizeof magic, 0), sizeof magic);
	magic++;
	assert_int_equal(pwrite(w->file, &magic, sizeof magic, 0), sizeof magic);
	assert_int_equal(read_silently(w), -1);
}

static void file_cut_anywhere_is_refused(void **state)
{
	struct world *w = *state;
	off_t whole;

	assert_int_equal(takeover_write(w->file, &w->said), 0);
	whole = lseek(w->file, 0, SEEK_END);
	const off_t lengths[] = { 0, 7, 16, 17, whole - 1 };
	for (size_t i = sizeof lengths / sizeof lengths[0]; i-- > 0;) {
		assert_int_equal(ftruncate(w->file, lengths[i]), 0);
		assert_int_equal(read_silently(w), -1);
	}
}

static void counts_and_texts_out_of_bounds_are_refused(void **state)
{
	struct world *w = *state;
	const struct takeover good = w->said;

	w->said.workers = TABLE_WORKERS_MAX / 2 + 1;
	assert_int_equal(takeover_write(w->file, &w->said), 0);
	assert_int_equal(read_silently(w), -1);
	w->said = good;
	w->said.nsockets = 0;
	assert_int_equal(takeover_write(w->file, &w->said), 0);
	assert_int_equal(read_silently(w), -1);
	w->said = good;
	memset(w->said.socket, 'x', sizeof w->said.socket);
	assert_int_equal(takeover_write(w->file, &w->said), 0);
	assert_int_equal(read_silently(w), -1);
}

static void only_the_same_sockets_and_directory_fit(void **state)
{
	struct world *w = *state;

	assert_true(fits(w, "/run/app.%d.sock", 2, "/srv/data"));
	assert_false(fits(w, "/run/app.%d.sock", 1, "/srv/data"));
	assert_false(fits(w, "/run/other.%d.sock", 2, "/srv/data"));
	assert_false(fits(w, "/run/app.%d.sock", 2, "/srv/data2"));
}

static void program_is_a_path_to_what_runs(void **state)
{
	char path[PATH_MAX];
	struct stat named, running;

	(void)state;
	assert_int_equal(takeover_program(path, sizeof path), 0);
	assert_int_equal(path[0], '/');
	assert_int_equal(stat(path, &named), 0);
	assert_int_equal(stat("/proc/self/exe", &running), 0);
	assert_int_equal(named.st_ino, running.st_ino);
	assert_int_equal(named.st_dev, running.st_dev);
}

static int write_script(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0700);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -1;
	return close(fd);
}

/* What the trial of a script with `text` says. */
static int exit_of_trial(struct world *w, const char *text)
{
	char path[FOLDER_FILE_MAX];
	struct folder f;
	int status = 0;

	folder_init(&f);
	folder_file(&f, "program", path);
	if (text != NULL)
		assert_int_equal(write_script(path, text), 0);
	int before = silence_stderr();
	pid_t pid = takeover_try(path, w->file);
	restore_stderr(before);
	assert_true(pid > 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	folder_release(&f);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void trial_gets_its_option_and_the_file_and_nothing_else_of_ours(void **state)
{
	struct world *w = *state;
	int secret = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char text[256];

	assert_true(secret >= 0);
	(void)snprintf(text, sizeof text,
		       "#!/bin/sh\n[ \"$*\" = 'serve --try-takeover=%d' ] || exit 3\n"
		       "[ -e /proc/self/fd/%d ] || exit 4\n[ ! -e /proc/self/fd/%d ] || exit 5\n",
		       w->file, w->file, secret);
	assert_int_equal(exit_of_trial(w, text), 0);
	close(secret);
}

static void trial_of_what_cannot_be_executed_fails(void **state)
{
	assert_int_equal(exit_of_trial(*state, NULL), 127);
	assert_int_equal(exit_of_trial(*state, "no program at all\n"), 127);
}

static bool is_closed_on_exec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

static void exec_that_fails_leaves_the_descriptors_closed_on_exec(void **state)
{
	struct world *w = *state;
	int before = silence_stderr();

	for (uint32_t i = 0; i < w->said.nsockets; i++)
		w->said.listener[i] = fcntl(w->file, F_DUPFD_CLOEXEC, 3);
	w->said.node_fd = fcntl(w->file, F_DUPFD_CLOEXEC, 3);
	w->said.table_fd = w->said.ready[0] = w->said.ready[1] = w->file;
	takeover_exec("/nowhere/holdfast", w->file, &w->said);
	restore_stderr(before);
	assert_true(is_closed_on_exec(w->file));
	assert_true(is_closed_on_exec(w->said.node_fd));
	for (uint32_t i = 0; i < w->said.nsockets; i++) {
		assert_true(is_closed_on_exec(w->said.listener[i]));
		close(w->said.listener[i]);
	}
	close(w->said.node_fd);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_is_read),
		TEST(second_writing_replaces_the_first),
		TEST(file_of_another_version_is_refused),
		TEST(file_cut_anywhere_is_refused),
		TEST(counts_and_texts_out_of_bounds_are_refused),
		TEST(only_the_same_sockets_and_directory_fit),
		TEST(program_is_a_path_to_what_runs),
		TEST(trial_gets_its_option_and_the_file_and_nothing_else_of_ours),
		TEST(trial_of_what_cannot_be_executed_fails),
		TEST(exec_that_fails_leaves_the_descriptors_closed_on_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
