package diagnose

import (
	"time"

	"github.com/tcptrace/tcptrace/internal/event"
)

// timeoutSettings are the settings that end idle connections, by the file that a program runs: of a server, and of what the
// program has as a client. They are those of the programs' own manuals. The name of a file says no more than which program
// it is: not which library of Node or Python, nor which configuration.
var timeoutSettings = map[string]struct{ server, client string }{
	"apache2":      {server: "KeepAliveTimeout"},
	"haproxy":      {server: "timeout http-keep-alive"},
	"nginx":        {server: "keepalive_timeout", client: "keepalive_timeout in upstream"},
	"node":         {server: "server.keepAliveTimeout"},
	"postgres":     {server: "idle_session_timeout"},
	"redis-server": {server: "timeout"},
}

// timeoutAdvice is what makes the client close before the server does.
func (f *fact) timeoutAdvice() []event.Message {
	return []event.Message{
		event.Say("let the client close idle connections first, after at most {time}[ ({setting})]",
			clientMargin(f.idleTimeout.Least), settingPhrase(f.clientProgram, timeoutSettings[f.clientProgram].client)),
		event.Say("alternatively, give the server a longer idle timeout than the client has[ ({setting})]",
			settingPhrase(f.serverProgram, timeoutSettings[f.serverProgram].server)),
	}
}

// settingPhrase returns a setting of a program, or nil if it is not known.
func settingPhrase(program, setting string) any {
	if setting == "" {
		return nil
	}
	return event.Say("{program}: {setting}", event.Literal(program), event.Literal(setting))
}

// clientMargin is after which idle time a client should close a connection at most that the server closes after another
// one: what is on its way when the server closes is lost.
func clientMargin(server time.Duration) time.Duration {
	if server > 2*time.Second {
		return server - time.Second
	}
	return server / 2
}
