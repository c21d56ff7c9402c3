package wire

import (
	"strings"
	"testing"
)

func TestValidToken(t *testing.T) {
	for c := range 256 {
		s := "a" + string([]byte{byte(c)}) + "b"
		want := strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", rune(c)) && c < 128
		if got := ValidToken(s); got != want {
			t.Errorf("ValidToken(%q) = %v", s, got)
		}
	}
	for s, want := range map[string]bool{"": false, "a": true, strings.Repeat("a", 64): true, strings.Repeat("a", 65): false, "é": false} {
		if got := ValidToken(s); got != want {
			t.Errorf("ValidToken(%q) = %v", s, got)
		}
	}
}

func TestCancellation(t *testing.T) {
	subject, body := Cancellation("client", "session", "1")
	if key, ok := CanceledKey(strings.TrimPrefix(subject, CancelPrefix+"."), body); !ok || key != TryKey("client", "session", "1") {
		t.Errorf("%q, %v", key, ok)
	}
	for _, c := range []struct{ client, body string }{
		{"client", ""}, {"client", "session"}, {"client", "session."}, {"client", ".1"}, {"client", "a.b.c"}, {"", "session.1"}, {"a.b", "session.1"},
		{"client", strings.Repeat("a", 65) + ".1"}, {"client", strings.Repeat("a", 1<<20) + ".1"},
	} {
		if key, ok := CanceledKey(c.client, []byte(c.body)); ok {
			t.Errorf("CanceledKey accepts the cancellation %q of the client %q: %q", c.body, c.client, key)
		}
	}
}

func TestResultID(t *testing.T) {
	for _, id := range []TaskID{{Client: "c", Session: "s", Number: "1"}, {Client: "c", Number: "n"}} {
		if got, ok := ResultID(ResultSubject(id)); !ok || got != id {
			t.Errorf("%+v, %v; want %+v", got, ok, id)
		}
	}
	for _, subject := range []string{"", "concert.result.c.s", "concert.kept.c.s.1", "concert.task.c.s"} {
		if id, ok := ResultID(subject); ok {
			t.Errorf("ResultID(%q) = %+v; want no task", subject, id)
		}
	}
}
