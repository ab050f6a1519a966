//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// server is a program that closes idle connections.
type server struct {
	name string
	// begin writes its configuration into a directory of its own, and returns the command that starts it.
	begin func(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error)
	// extra is by how much it closes later than its setting says, and looks how often it looks: 0 is a timer of each
	// connection.
	extra, looks time.Duration
	early        time.Duration // by which it may be too early
	unseen       bool          // its timeout does not show at the client's end: a last message comes with the FIN
	talk         talk
	// pool starts the clients, which close idle connections after the timeout; the server waits for longer.
	pool func(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error)
	// ends: the server ends when its clients have been idle for some time, and some send just then.
	ends bool
	// control has no idle timeout: what its clients do.
	control func(*round, *rand.Rand) error
}

// least and most are after which idle time it closes.
func (s *server) least(timeout time.Duration) time.Duration { return timeout + s.extra - s.early }
func (s *server) most(timeout time.Duration) time.Duration {
	return timeout + s.extra + max(s.looks, s.early)
}

// servers are the programs of the lab, and such as close for another reason.
var servers = []server{
	{name: "go", begin: goServer},
	{name: "nginx", begin: nginx("keepalive_timeout %ds;")},
	{name: "apache", begin: apache},
	{name: "haproxy", begin: haproxy},
	{name: "node", begin: node, extra: nodeBuffer()},
	{name: "gunicorn", begin: gunicorn, looks: time.Second},
	{name: "aiohttp", begin: aiohttp, looks: time.Second, early: 150 * time.Millisecond},
	{name: "redis", begin: redis, looks: time.Second + 330*time.Millisecond, early: 50 * time.Millisecond, talk: redisTalk},
	{name: "tls: go", begin: goTLS, unseen: true},
	{name: "pool: go", begin: patient, pool: goPool},
	{name: "pool: node", begin: patient, pool: nodePool},
	{name: "reload: go", begin: patient, ends: true},
	{name: "control: request limit", begin: nginx("keepalive_timeout 60s; keepalive_requests 2; # %d"), control: (*round).waitForFin},
	{name: "control: long polls", begin: longPolls, control: (*round).waitForFin},
	{name: "control: age limit", begin: nginx("keepalive_timeout 60s; keepalive_time %ds;"), control: (*round).waitForFin},
	{name: "control: clients leave", begin: nginx("keepalive_timeout 60s; # %d"), control: (*round).leave},
	{name: "control: clients at a pace", begin: nginx("keepalive_timeout 60s; # %d"), control: (*round).atAPace},
}

// write makes a file in a directory.
func write(dir, name, text string) (string, error) {
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("write a configuration: %w", err)
	}
	return path, nil
}

func seconds(d time.Duration) int { return int(d / time.Second) }

// goServer is this program itself, as are goTLS and goPool.
func goServer(_ string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	return self("serve", at, timeout)
}

func goTLS(_ string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	return self("tls", at, timeout)
}

func goPool(_ string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	return self("pool", at, timeout)
}

// patient is a server that waits for longer than any client.
func patient(_ string, at netip.AddrPort, _ time.Duration) ([]string, error) {
	return self("serve", at, 2*time.Minute)
}

func self(part string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	path, err := os.Executable()
	return []string{path, part, at.String(), timeout.String()}, err
}

// nodePool has connections that it uses some times, and then no more.
func nodePool(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	path, err := write(dir, "pool.js", fmt.Sprintf(`const http = require('http');
const ask = (agent, then) => http.get({host: '%v', port: %d, agent}, r => { r.resume(); r.on('end', then); }).on('error', console.error);
for (let i = 0; i < %d; i++) setTimeout(() => {
  const agent = new http.Agent({keepAlive: true, timeout: %d});
  ask(agent, () => setTimeout(() => ask(agent, () => {}), Math.random() * %d));
}, i * 137);
setTimeout(() => process.exit(), %d);
`, at.Addr(), at.Port(), learning, timeout.Milliseconds(), timeout.Milliseconds()*2/3, poolLasts(timeout).Milliseconds()))
	return []string{"node", path}, err
}

// poolLasts is how long a pool runs.
func poolLasts(timeout time.Duration) time.Duration {
	return learning*137*time.Millisecond + 2*timeout + 2*time.Second
}

// nginx has a setting of its server, with the timeout in it.
func nginx(setting string) func(string, netip.AddrPort, time.Duration) ([]string, error) {
	return func(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
		path, err := write(dir, "nginx.conf", fmt.Sprintf(`daemon off; user root; pid %[1]s/pid; error_log %[1]s/error.log; worker_processes 1;
events { worker_connections 512; }
http {
  access_log off;
  client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
  server {
    listen %[2]v;
    %[3]s
    location / { return 200 "ok\n"; }
  }
}
`, dir, at, fmt.Sprintf(setting, seconds(timeout))))
		return []string{"nginx", "-c", path, "-e", filepath.Join(dir, "error.log")}, err
	}
}

func apache(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	path, err := write(dir, "apache.conf", fmt.Sprintf(`ServerRoot %[1]s
ServerName lab
Listen %[2]v
PidFile %[1]s/pid
DefaultRuntimeDir %[1]s
ErrorLog %[1]s/error.log
LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so
LoadModule authz_core_module /usr/lib/apache2/modules/mod_authz_core.so
User www-data
Group www-data
DocumentRoot %[1]s
KeepAlive On
KeepAliveTimeout %[3]d
MaxKeepAliveRequests 0
StartServers 1
`, dir, at, seconds(timeout)))
	return []string{"apache2", "-f", path, "-DFOREGROUND"}, err
}

func haproxy(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	path, err := write(dir, "haproxy.cfg", fmt.Sprintf(`defaults
  mode http
  timeout client 60s
  timeout server 60s
  timeout connect 5s
  timeout http-request 60s
  timeout http-keep-alive %[2]ds
frontend lab
  bind %[1]v
  http-request return status 200 content-type text/plain string ok
`, at, seconds(timeout)))
	return []string{"haproxy", "-f", path}, err
}

func node(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	path, err := write(dir, "server.js", fmt.Sprintf(`const s = require('http').createServer((q, r) => r.end('ok\n'));
s.keepAliveTimeout = %d;
s.listen(%d, '%v');
`, timeout.Milliseconds(), at.Port(), at.Addr()))
	return []string{"node", path}, err
}

// longPolls answers after up to 3 seconds, and never closes.
func longPolls(dir string, at netip.AddrPort, _ time.Duration) ([]string, error) {
	path, err := write(dir, "polls.js", fmt.Sprintf(`const s = require('http').createServer((q, r) => setTimeout(() => r.end('ok\n'), Math.random() * 3000));
s.keepAliveTimeout = 120000;
s.listen(%d, '%v');
`, at.Port(), at.Addr()))
	return []string{"node", path}, err
}

const pythonApp = `def app(environ, start_response):
    start_response('200 OK', [('Content-Length', '3')])
    return [b'ok\n']
`

func gunicorn(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	_, err := write(dir, "app.py", pythonApp)
	return []string{"gunicorn", "--chdir", dir, "--worker-tmp-dir", dir, "-k", "gthread", "--threads", "64", "--keep-alive", fmt.Sprint(seconds(timeout)), "-b", at.String(), "app:app"}, err
}

func aiohttp(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	path, err := write(dir, "server.py", fmt.Sprintf(`import asyncio
from aiohttp import web
async def ok(request):
    return web.Response(text='ok\n')
app = web.Application()
app.router.add_route('*', '/{tail:.*}', ok)
web.run_app(app, host='%v', port=%d, keepalive_timeout=%d, print=None)
`, at.Addr(), at.Port(), seconds(timeout)))
	return []string{"/usr/bin/python3", path}, err
}

func redis(dir string, at netip.AddrPort, timeout time.Duration) ([]string, error) {
	return []string{
		"redis-server", "--bind", at.Addr().String(), "--port", fmt.Sprint(at.Port()), "--timeout", fmt.Sprint(seconds(timeout)), "--save", "",
		"--protected-mode", "no", "--dir", dir,
	}, nil
}
