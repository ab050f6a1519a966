/* closer accepts a connection on loopback, and closes it in the way that its argument says. Each place that closes has a
 * mark in a comment, by which the test finds its line. If there is a second argument, it stays for a while. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile int sink;

#define APART __attribute__((noinline, noclone, noipa))

APART void close_it(int fd)
{
	close(fd); /* mark: close_it */
	sink++;
}

APART void large_frame(int fd)
{
	char buffer[5000];
	memset(buffer, fd, sizeof(buffer));
	sink = buffer[fd];
	close_it(fd); /* mark: large_frame */
	sink += buffer[fd + 1];
}

APART void huge_frame(int fd)
{
	char buffer[50000];
	memset(buffer, fd, sizeof(buffer));
	sink = buffer[fd];
	close_it(fd); /* mark: huge_frame */
	sink += buffer[fd + 1];
}

static inline __attribute__((always_inline)) void inlined(int fd)
{
	large_frame(fd); /* mark: inlined */
	sink++;
}

APART void around(int fd)
{
	inlined(fd); /* mark: around */
	sink++;
}

APART void shut(int fd)
{
	shutdown(fd, SHUT_RDWR); /* mark: shut */
	sink++;
}

APART void reset(int fd)
{
	struct linger hard = { 1, 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(fd); /* mark: reset */
	sink++;
}

APART void *in_thread(void *fd)
{
	close_it((int)(long)fd); /* mark: in_thread */
	sink++;
	return NULL;
}

static int left;

APART void on_signal(int number)
{
	close_it(left); /* mark: on_signal */
	sink += number;
}

APART void ends_at_once(int fd)
{
	close(fd); /* mark: ends_at_once */
	_exit(0);
}

APART void child(int fd)
{
	sleep(1);
	close(fd); /* mark: child */
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(9300) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1, fd;
	const char *how = argv[1];
	pthread_t thread;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (void *)&address, sizeof(address)) || listen(listener, 9))
		return 1;
	puts("ready");
	fflush(stdout);
	fd = accept(listener, NULL, NULL);
	if (!strcmp(how, "around"))
		around(fd);
	if (!strcmp(how, "huge"))
		huge_frame(fd);
	if (!strcmp(how, "shut"))
		shut(fd);
	if (!strcmp(how, "reset"))
		reset(fd);
	if (!strcmp(how, "thread")) {
		pthread_create(&thread, NULL, in_thread, (void *)(long)fd);
		pthread_join(thread, NULL);
	}
	if (!strcmp(how, "signal")) {
		left = fd;
		signal(SIGUSR1, on_signal);
		raise(SIGUSR1);
	}
	if (!strcmp(how, "kill"))
		raise(SIGKILL);
	if (!strcmp(how, "exec")) {
		fcntl(fd, F_SETFD, FD_CLOEXEC);
		execl("/bin/sleep", "sleep", "60", NULL);
	}
	if (!strcmp(how, "fork") && !fork()) {
		close(listener);
		child(fd);
	} else if (!strcmp(how, "fork")) {
		close(fd);
		sleep(60);
	}
	if (!strcmp(how, "at_once"))
		ends_at_once(fd);
	if (argc > 2)
		sleep(60);
	return 0;
}
