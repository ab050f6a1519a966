// closer is the same in C++: names with namespaces, classes and templates.
#include <arpa/inet.h>
#include <cstdio>
#include <functional>
#include <sys/socket.h>
#include <unistd.h>

namespace shop {
static volatile int sink;

template <typename T> class Connection {
public:
	explicit Connection(T descriptor) : descriptor(descriptor) {}
	__attribute__((noinline)) ~Connection()
	{
		close(descriptor); // mark: destructor
		sink++;
	}

private:
	T descriptor;
};

__attribute__((noinline)) void handle(int fd)
{
	Connection<int> connection(fd);
	sink++;
} // mark: handle
} // namespace shop

int main(int argc, char **)
{
	struct sockaddr_in address = {};
	int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	address.sin_family = AF_INET;
	address.sin_port = htons(9300);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 9))
		return 1;
	puts("ready");
	fflush(stdout);
	shop::handle(accept(listener, nullptr, nullptr));
	if (argc > 2)
		sleep(60);
	return 0;
}
