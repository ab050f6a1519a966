//go:build linux

package main

import "testing"

func TestMirrorsAreDebians(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		out  string
		want mirrors
	}{
		{"", mirrors{}},
		{"Docker CE|https://docker.example/debian/\n$(LABEL)|https://other.example/\n", mirrors{}},
		{"Debian Backports|http://wrong.example/\nDebian|http://a.example/debian/\nDebian|http://b.example/debian/\n", mirrors{main: "http://a.example/debian/"}},
		{"Debian-Security|mirror+file:/etc/security.list\nDebian|http://a.example/\n", mirrors{"http://a.example/", "mirror+file:/etc/security.list"}},
	} {
		if got := parseTargets(c.out); got != c.want {
			t.Errorf("%q: %v, want %v", c.out, got, c.want)
		}
	}
}

func TestSources(t *testing.T) {
	t.Parallel()
	const keyring = "[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
	from := mirrors{"http://a.example/", "http://b.example/"}
	for suite, want := range map[string]string{
		"bookworm": "deb " + keyring + " http://a.example/ bookworm main\n" +
			"deb " + keyring + " http://b.example/ bookworm-security main\n",
		"trixie-backports": "deb " + keyring + " http://a.example/ trixie main\n" +
			"deb " + keyring + " http://a.example/ trixie-backports main\n" +
			"deb " + keyring + " http://b.example/ trixie-security main\n",
	} {
		if got := sourcesOf(from, suite); got != want {
			t.Errorf("%s:\n%swant\n%s", suite, got, want)
		}
	}
}

func TestUnknownKernelIsTold(t *testing.T) {
	t.Parallel()
	_, err := suiteOf("6.6")
	if want := `no kernel is called "6.6": there are 5.10, 6.1, 6.12, 7`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}
