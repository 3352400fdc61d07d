/*
 * Telling the service manager how we are: the protocol of sd_notify(3).
 *
 * One datagram to the socket named by NOTIFY_SOCKET, a path or, with '@' first,
 * an abstract name.  Without that variable nobody listens and nothing happens.
 */
#ifndef PROC_NOTIFY_H
#define PROC_NOTIFY_H

/* `state` is lines of NAME=value, "READY=1".  A failure is logged and has no consequence. */
void notify_send(const char *state);

#endif
