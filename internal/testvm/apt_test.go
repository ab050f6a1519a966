//go:build linux

package main

import "testing"

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
