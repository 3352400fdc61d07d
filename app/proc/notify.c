#include "proc/notify.h"

#include "base/log.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void failed(const char *call, int error)
{
	log_warn("notify.failed", "call=%s error=\"%s\"", call, strerror(error));
}

/* The length of the address, 0 when `name` is none. */
static socklen_t make_address(const char *name, struct sockaddr_un *out)
{
	size_t len = strlen(name);

	*out = (struct sockaddr_un){ .sun_family = AF_UNIX };
	if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof out->sun_path)
		return 0;
	memcpy(out->sun_path, name, len);
	if (name[0] == '@')
		out->sun_path[0] = '\0';
	/* An abstract name ends where its length says, a path behind its NUL. */
	len += name[0] == '/';
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

void notify_send(const char *state)
{
	const char *name = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address;

	if (name == NULL)
		return;
	socklen_t len = make_address(name, &address);
	if (len == 0) {
		failed("address", EINVAL);
		return;
	}
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		failed("socket", errno);
		return;
	}
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address, len) < 0)
		failed("sendto", errno);
	close(fd);
}
