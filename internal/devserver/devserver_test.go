package devserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"concert/internal/devserver"
	"concert/internal/serverurl"
)

// isolate makes the test use a directory of its own, and no variables of the
// user who runs the tests.
func isolate(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", dir)
	t.Setenv(devserver.URLVariable, "")
	t.Setenv(devserver.KeyVariable, "")
	return filepath.Join(dir, "concert")
}

// publish makes a server known, and returns its claim and its key file.
func publish(t *testing.T) (c *devserver.Claim, key string) {
	t.Helper()
	c, err := devserver.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Release)
	key = filepath.Join(t.TempDir(), "dev.key")
	if err := os.WriteFile(key, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := c.Publish(devserver.Record{URL: "tls://127.0.0.1:1", Key: key, Pid: 1}); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// TestFind_Order: Find must use the URL and key file of the program first,
// then those of the environment, and then those of the record.
func TestFind_Order(t *testing.T) {
	dir := isolate(t)
	_, key := publish(t)
	record := filepath.Join(dir, "dev.json")
	for _, c := range []struct {
		name, url, key, envURL, envKey string
		want                           devserver.Found
	}{
		{"nothing", "", "", "", "", devserver.Found{URL: "tls://127.0.0.1:1", Key: key, Record: record}},
		{"URL", "nats://a", "", "nats://b", "b.key", devserver.Found{URL: "nats://a"}},
		{"URL and key", "nats://a", "a.key", "nats://b", "b.key", devserver.Found{URL: "nats://a", Key: "a.key"}},
		{"key", "", "a.key", "", "b.key", devserver.Found{URL: serverurl.Default, Key: "a.key"}},
		{"key and variable", "", "a.key", "nats://b", "b.key", devserver.Found{URL: "nats://b", Key: "a.key"}},
		{"variables", "", "", "nats://b", "b.key", devserver.Found{URL: "nats://b", Key: "b.key"}},
		{"URL in a variable", "", "", "nats://b", "", devserver.Found{URL: "nats://b"}},
		{"key in a variable", "", "", "", "b.key", devserver.Found{URL: serverurl.Default, Key: "b.key"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv(devserver.URLVariable, c.envURL)
			t.Setenv(devserver.KeyVariable, c.envKey)
			if got, err := devserver.Find(c.url, c.key); got != c.want || err != nil {
				t.Errorf("%+v, %v; want %+v", got, err, c.want)
			}
		})
	}
}

// TestFind_None: if there is no server, the error must name the
// command that starts one.
func TestFind_None(t *testing.T) {
	dir := isolate(t)
	fails := func(what, says string) {
		t.Helper()
		found, err := devserver.Find("", "")
		if err == nil || !strings.Contains(err.Error(), says) || !strings.Contains(err.Error(), "run 'concertd dev'") {
			t.Errorf("%s: %+v, %v; want %q", what, found, err, says)
		}
	}
	fails("no server", "no server: no URL is given")
	claim, key := publish(t)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	fails("the key file is gone", "has ended, and its key file is gone")
	if err := os.WriteFile(filepath.Join(dir, "dev.json"), []byte(`{"url":"http://x","key":"k"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	fails("an invalid URL", "is damaged")
	claim.Release()
	fails("after Release", "no server: no URL is given")
}

// TestFind_NotPrivate: if other users can use the directory, a server and a
// client must refuse it.
func TestFind_NotPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no modes of directories")
	}
	dir := isolate(t)
	claim, _ := publish(t)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "dev.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the record: %v, %v", info.Mode(), err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if found, err := devserver.Find("", ""); err == nil || !strings.Contains(err.Error(), "chmod 700 "+dir) {
		t.Errorf("Find: %+v, %v", found, err)
	}
	claim.Release()
	if _, err := devserver.Acquire(); err == nil || !strings.Contains(err.Error(), "chmod 700 "+dir) {
		t.Errorf("Acquire: %v", err)
	}
}

// TestOwner: even root must refuse a directory of another user. Otherwise
// root would use a server of that user.
func TestOwner(t *testing.T) {
	if runtime.GOOS == "windows" || os.Geteuid() != 0 {
		t.Skip("only root can give a directory to another user")
	}
	for name, change := range map[string]func(dir string) error{
		"directory": func(dir string) error { return os.Chown(dir, 12345, -1) },
		"parent":    func(dir string) error { return os.Chown(filepath.Dir(dir), 12345, -1) },
		"link": func(dir string) error {
			return errors.Join(os.Rename(dir, dir+".other"), os.Symlink(dir+".other", dir))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := isolate(t)
			claim, _ := publish(t)
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			if found, err := devserver.Find("", ""); err == nil {
				t.Errorf("Find: %+v", found)
			}
			claim.Release()
			if again, err := devserver.Acquire(); err == nil {
				t.Error("Acquire: no error")
				again.Release()
			}
		})
	}
}

// TestFind_Relative: a server must be found from every working directory, so a
// relative XDG_RUNTIME_DIR must be ignored, and a relative HOME refused.
func TestFind_Relative(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems have no XDG_CACHE_HOME")
	}
	isolate(t)
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	t.Setenv("XDG_RUNTIME_DIR", "relative")
	if _, err := devserver.Find("", ""); err == nil || !strings.Contains(err.Error(), filepath.Join(cache, "concert", "dev.json")) {
		t.Error(err)
	}
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "relative")
	if _, err := devserver.Find("", ""); err == nil || !strings.Contains(err.Error(), "not absolute") {
		t.Error(err)
	}
}

// TestAcquire_Twice: while a server has the claim, the error for a second
// server must name the first one.
func TestAcquire_Twice(t *testing.T) {
	isolate(t)
	claim, err := devserver.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := devserver.Acquire(); !errors.Is(err, devserver.ErrRunning) || !strings.Contains(err.Error(), "has not become ready") {
		t.Errorf("before Publish: %v", err)
	}
	claim.Release()
	claim, _ = publish(t)
	if _, err := devserver.Acquire(); !errors.Is(err, devserver.ErrRunning) || !strings.Contains(err.Error(), "at tls://127.0.0.1:1 (process 1)") {
		t.Errorf("after Publish: %v", err)
	}
	claim.Release()
	again, err := devserver.Acquire()
	if err != nil {
		t.Fatal(err)
	}
	again.Release()
}
