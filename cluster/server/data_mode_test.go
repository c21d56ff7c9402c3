package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNew_DataOfOtherMode: a server that joins others must refuse the data
// of a single server, and a single server must refuse the data of a server
// that has joined others. The error must name the command after which the
// server starts.
func TestNew_DataOfOtherMode(t *testing.T) {
	join := &Join{Name: "one", Listen: freeAddress(t), Others: []string{"127.0.0.1:1", "127.0.0.1:2"}}
	single := func(dir string) *Options { return &Options{Dir: dir, Listen: "127.0.0.1:0"} }
	joined := func(dir string) *Options {
		return &Options{Dir: dir, Listen: "127.0.0.1:0", Join: join}
	}
	for _, c := range []struct {
		name          string
		before, after func(dir string) *Options
		setup         bool
		says, moved   string
	}{
		{"single to joined", single, joined, true, "has the data of a single server", ".single"},
		{"joined to single", joined, single, false, "has the data of a server that has joined others", ".joined"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data[1]")
			start := func(o *Options) {
				t.Helper()
				s, err := New(o)
				if err == nil && c.setup {
					err = s.Setup(t.Context(), 1)
				}
				if err == nil {
					err = s.Close()
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			start(c.before(dir))
			start(c.before(dir)) // its own data is accepted
			s, err := New(c.after(dir))
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "'mv "+dir+" "+dir+c.moved+"'") {
				t.Errorf("%v, want %q", err, c.says)
			}
			if err := os.Mkdir(dir+c.moved, 0o700); err != nil {
				t.Fatal(err)
			}
			if s, err := New(c.after(dir)); err == nil || !strings.Contains(err.Error(), "'mv "+dir+" "+dir+c.moved+"-2'") {
				if err == nil {
					s.Close()
				}
				t.Errorf("%v, want a name that is free", err)
			}
			if err := os.Remove(dir + c.moved); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(dir, dir+c.moved); err != nil {
				t.Fatal(err)
			}
			c.setup = false // the other servers do not run
			start(c.after(dir))
		})
	}
}
