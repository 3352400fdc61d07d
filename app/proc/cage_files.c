#include "proc/cage_files.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What the kernel may know and this machine's headers may not. */
enum {
	VERSION_MOVES = 2,
	VERSION_TRUNCATES = 3,
	VERSION_TCP = 4,
	VERSION_DEVICES = 5,
};
static const uint64_t fs_truncate = UINT64_C(1) << 14;
static const uint64_t fs_ioctl_dev = UINT64_C(1) << 15;
static const uint64_t net_bind_tcp = UINT64_C(1) << 0;

struct ruleset {
	uint64_t fs;
	uint64_t net;
};

static const uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t write_rights =
	LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_WRITE_FILE |
	LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REFER | fs_truncate;
/* A directory has more rights than a file can be given. */
static const uint64_t file_rights =
	LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | fs_truncate;
static const uint64_t all_rights = write_rights | LANDLOCK_ACCESS_FS_EXECUTE |
				   LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_SOCK |
				   LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK |
				   LANDLOCK_ACCESS_FS_MAKE_SYM | fs_ioctl_dev;

static const char etc[] = "/etc";
static const char *const names_in_etc[] = {
	"resolv.conf", "hosts",	   "host.conf", "nsswitch.conf",
	"gai.conf",    "services", "localtime", "ld.so.cache",
};

/* Nothing here is private to anybody. */
static const char *const read_places[] = {
	"/lib",
	"/lib64",
	"/usr/lib",
	"/usr/lib64",
	"/usr/local/lib",
	"/usr/share/zoneinfo",
	/* certificates */
	"/etc/ssl/certs",
	"/etc/ssl/cert.pem",
	"/etc/ssl/openssl.cnf",
	"/etc/pki/tls",
	"/etc/pki/ca-trust",
	"/etc/ca-certificates",
	"/etc/crypto-policies",
	"/usr/share/ca-certificates",
	"/usr/local/share/ca-certificates",
	/* where /etc/resolv.conf may be a link to */
	"/run/systemd/resolve",
	"/run/resolvconf",
	"/run/NetworkManager",
	"/run/nscd",
	/* what libc asks about the machine */
	"/proc/self",
	"/proc/sys",
	"/proc/meminfo",
	"/proc/cpuinfo",
	"/sys/devices/system/cpu",
	"/dev/urandom",
	"/dev/random",
#ifdef SANITIZED
	/* A report names lines of the source, which are in the program itself. */
	"/proc/self/exe",
#endif
};

/* The first that exists is SQLite's, and the others are its next choice. */
static const char *const temp_places[] = { "/var/tmp", "/usr/tmp", "/tmp" };
static const char *const temp_variables[] = { "SQLITE_TMPDIR", "TMPDIR" };

static int failed(const char *call, const char *path)
{
	log_error("cage.failed", "call=%s path=%s error=\"%s\"", call, path, strerror(errno));
	return -1;
}

int cage_files_version(void)
{
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	return version >= VERSION_MOVES ? (int)version : 0;
}

static struct ruleset known_to(int version)
{
	struct ruleset r = { .fs = all_rights, .net = net_bind_tcp };

	if (version < VERSION_TRUNCATES)
		r.fs &= ~fs_truncate;
	if (version < VERSION_TCP)
		r.net = 0;
	if (version < VERSION_DEVICES)
		r.fs &= ~fs_ioctl_dev;
	return r;
}

static int allow_descriptor(int rules, int fd, uint64_t rights, const char *path)
{
	struct landlock_path_beneath_attr beneath = { .parent_fd = fd };
	struct stat st;

	if (fstat(fd, &st) < 0)
		return failed("fstat", path);
	beneath.allowed_access = S_ISDIR(st.st_mode) ? rights : rights & file_rights;
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0) == 0)
		return 0;
	return failed("landlock_add_rule", path);
}

/* One that is not there needs no rule. */
static int allow(int rules, const char *path, uint64_t rights)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return 0;
	int result = allow_descriptor(rules, fd, rights, path);
	close(fd);
	return result;
}

static int allow_reading(int rules)
{
	const char *authorities = getenv("SSL_CERT_FILE");
	char path[64];

	for (size_t i = 0; i < sizeof read_places / sizeof read_places[0]; i++) {
		if (allow(rules, read_places[i], read_rights) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof names_in_etc / sizeof names_in_etc[0]; i++) {
		(void)snprintf(path, sizeof path, "%s/%s", etc, names_in_etc[i]);
		if (allow(rules, path, read_rights) < 0)
			return -1;
	}
	return authorities != NULL ? allow(rules, authorities, read_rights) : 0;
}

static int allow_writing(int rules, uint64_t rights, const struct cage_places *p)
{
	for (size_t i = 0; i < sizeof temp_variables / sizeof temp_variables[0]; i++) {
		const char *path = getenv(temp_variables[i]);
		if (path != NULL && allow(rules, path, rights) < 0)
			return -1;
	}
	for (size_t i = 0; i < sizeof temp_places / sizeof temp_places[0]; i++) {
		if (allow(rules, temp_places[i], rights) < 0)
			return -1;
	}
	if (allow(rules, "/dev/null", rights) < 0 || allow(rules, p->data, rights) < 0)
		return -1;
	if (p->store != NULL && allow(rules, p->store, rights) < 0)
		return -1;
	return allow_descriptor(rules, p->table, rights, "-");
}

int cage_files_limit(const struct cage_places *p)
{
	int version = cage_files_version(), result = -1;

	if (version == 0)
		return 0;
	const struct ruleset known = known_to(version);
	size_t size = version < VERSION_TCP ? sizeof known.fs : sizeof known;
	int rules = (int)syscall(SYS_landlock_create_ruleset, &known, size, 0);
	if (rules < 0)
		return failed("landlock_create_ruleset", "-");
	if (allow_reading(rules) < 0 || allow_writing(rules, write_rights & known.fs, p) < 0)
		goto out;
	result = syscall(SYS_landlock_restrict_self, rules, 0) < 0
			 ? failed("landlock_restrict_self", "-")
			 : 0;
out:
	close(rules);
	return result;
}

int cage_files_watch(void)
{
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (watch < 0)
		return failed("inotify_init1", etc);
	if (inotify_add_watch(watch, etc, IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) >= 0)
		return watch;
	failed("inotify_add_watch", etc);
	close(watch);
	return -1;
}

static bool is_watched(const char *name)
{
	for (size_t i = 0; i < sizeof names_in_etc / sizeof names_in_etc[0]; i++) {
		if (strcmp(name, names_in_etc[i]) == 0)
			return true;
	}
	return false;
}

bool cage_files_replaced(int watch)
{
	union {
		char bytes[4096];
		struct inotify_event aligned;
	} events;
	bool replaced = false;
	ssize_t len;

	while ((len = read(watch, events.bytes, sizeof events.bytes)) > 0) {
		for (size_t at = 0; at < (size_t)len;) {
			const void *here = events.bytes + at;
			const struct inotify_event *event = here;
			/* Too many to be kept: nobody knows which. */
			replaced |= (event->mask & IN_Q_OVERFLOW) != 0 ||
				    (event->len > 0 && is_watched(event->name));
			at += sizeof *event + event->len;
		}
	}
	return replaced;
}
