/* Limits are for ever: each case is a child of its own. */
#include "proc/cage_files.h"

#include "fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>

struct places {
	const struct folder *folder;
	char data[FOLDER_FILE_MAX], store[FOLDER_FILE_MAX], foreign[FOLDER_FILE_MAX],
		secret[FOLDER_FILE_MAX];
	int table;
};

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
}

/* The folder must not lie in a place of temporary files, which are allowed. */
static void init_places(struct places *p, const struct folder *f)
{
	char table[FOLDER_FILE_MAX];

	p->folder = f;
	folder_file(f, "data", p->data);
	folder_file(f, "store", p->store);
	folder_file(f, "foreign", p->foreign);
	folder_file(f, "foreign/secret", p->secret);
	folder_file(f, "foreign/table", table);
	assert_int_equal(mkdir(p->data, 0700) | mkdir(p->store, 0700) | mkdir(p->foreign, 0700), 0);
	write_file(p->secret);
	p->table = open(table, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_not_equal(p->table, -1);
}

static int limit(const struct places *p)
{
	const struct cage_places places = { p->data, p->store, p->table };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return cage_files_limit(&places);
}

static bool opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static bool is_denied(const char *path, int flags)
{
	return !opens(path, flags) && errno == EACCES;
}

static int finds_the_rest_closed(void *owner)
{
	const struct places *p = owner;
	char beside[FOLDER_FILE_MAX];

	/* As root, too; as another user it is closed anyhow. */
	if (!opens(p->secret, O_RDONLY) || !opens("/etc/passwd", O_RDONLY) || limit(p) < 0)
		return 1;
	folder_file(p->folder, "foreign/new", beside);
	if (!is_denied(p->secret, O_RDONLY) || !is_denied(p->secret, O_WRONLY) ||
	    !is_denied(beside, O_WRONLY | O_CREAT))
		return 2;
	if (!is_denied("/etc/shadow", O_RDONLY) || !is_denied("/etc/passwd", O_RDONLY) ||
	    !is_denied("/proc/1/environ", O_RDONLY) || !is_denied("/usr/lib", O_WRONLY | O_TMPFILE))
		return 3;
	if (truncate(p->secret, 0) == 0 && cage_files_version() >= 3)
		return 4;
	if (unlink(p->secret) == 0 || mkdir(beside, 0700) == 0 || symlink("/", beside) == 0)
		return 5;
	return 0;
}

static int finds_its_own_open(void *owner)
{
	const struct places *p = owner;
	char from[FOLDER_FILE_MAX], sub[FOLDER_FILE_MAX], to[FOLDER_FILE_MAX], table[64];

	if (limit(p) < 0)
		return 1;
	folder_file(p->folder, "data/db", from);
	folder_file(p->folder, "data/kept", sub);
	folder_file(p->folder, "data/kept/db", to);
	(void)snprintf(table, sizeof table, "/proc/self/fd/%d", p->table);
	if (!opens(from, O_RDWR | O_CREAT) || truncate(from, 0) != 0 || mkdir(sub, 0700) != 0 ||
	    rename(from, to) != 0 || unlink(to) != 0 || rmdir(sub) != 0)
		return 2;
	if (!opens(p->data, O_RDWR | O_TMPFILE) || !opens(p->store, O_RDWR | O_TMPFILE) ||
	    !opens("/var/tmp", O_RDWR | O_TMPFILE) || !opens(table, O_RDWR))
		return 3;
	if (!opens("/etc/hosts", O_RDONLY) || !opens("/dev/urandom", O_RDONLY) ||
	    !opens("/proc/self/maps", O_RDONLY) || !opens("/usr/lib", O_RDONLY))
		return 4;
	return 0;
}

static int resolves(void *owner)
{
	struct addrinfo *found = NULL;

	if (limit(owner) < 0 || getaddrinfo("localhost", "443", NULL, &found) != 0)
		return 1;
	freeaddrinfo(found);
	return getaddrinfo("holdfast.invalid", "443", NULL, &found) != 0 ? 0 : 2;
}

static int listens_nowhere(void *owner)
{
	const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (limit(owner) < 0)
		return 1;
	return bind(fd, (const struct sockaddr *)&any, sizeof any) < 0 && errno == EACCES ? 0 : 2;
}

static int execute_nothing(void *owner)
{
	if (limit(owner) < 0)
		return 1;
	(void)execl("/bin/true", "true", (char *)NULL);
	return errno == EACCES ? 0 : 2;
}

static void worker_reaches_its_own_files_and_no_others(void **state)
{
	struct places p;

	if (cage_files_version() == 0 || strncmp(((struct folder *)*state)->path, "/tmp", 4) == 0)
		skip();
	init_places(&p, *state);
	expect_child_succeeds(start_child(finds_the_rest_closed, &p));
	expect_child_succeeds(start_child(finds_its_own_open, &p));
	expect_child_succeeds(start_child(resolves, &p));
	expect_child_succeeds(start_child(execute_nothing, &p));
	if (cage_files_version() >= 4)
		expect_child_succeeds(start_child(listens_nowhere, &p));
	close(p.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test_in_folder(worker_reaches_its_own_files_and_no_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
