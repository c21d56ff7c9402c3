package server_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"concert/cluster/server"
)

// TestOptions_Check: if an option has an invalid value, the error of Check must
// name the option. New must return the same error before it creates anything.
func TestOptions_Check(t *testing.T) {
	join := func(change func(j *server.Join)) *server.Options {
		j := &server.Join{Name: "one", Listen: "127.0.0.1:6222", Others: []string{"two.example:6222", "[::1]:6222"}}
		change(j)
		return &server.Options{Listen: "127.0.0.1:0", Join: j}
	}
	for _, c := range []struct {
		name  string
		opts  *server.Options
		field string // the invalid option; "" if all options are valid
	}{
		{"nil", nil, ""},
		{"zero", &server.Options{}, ""},
		{"all addresses", &server.Options{Listen: "0.0.0.0:4222"}, ""},
		{"IPv6", &server.Options{Listen: "[::1]:4222", Advertise: "[2001:db8::1]:4222", Hosts: []string{"2001:db8::1"}}, ""},
		{"hosts", &server.Options{Hosts: []string{"one.example", "*.two.example", "under_score", "192.0.2.1"}}, ""},
		{"no limits", &server.Options{Connections: -1, Tasks: -1, Parts: -1}, ""},
		{"join", join(func(*server.Join) {}), ""},

		{"listen at a name", &server.Options{Listen: "localhost:4222"}, "Listen"},
		{"listen at no port", &server.Options{Listen: "127.0.0.1"}, "Listen"},
		{"listen at a large port", &server.Options{Listen: "127.0.0.1:65536"}, "Listen"},
		{"sessions", &server.Options{Sessions: -1}, "Sessions"},
		{"empty host", &server.Options{Hosts: []string{"a", "", "b"}}, "Hosts"},
		{"host with a blank", &server.Options{Hosts: []string{"a b"}}, "Hosts"},
		{"host with a port", &server.Options{Hosts: []string{"a:4222"}}, "Hosts"},
		{"advertise no port", &server.Options{Advertise: "one"}, "Advertise"},
		{"advertise an empty port", &server.Options{Advertise: "one:"}, "Advertise"},
		{"advertise a word", &server.Options{Advertise: "one:abc"}, "Advertise"},
		{"advertise a large port", &server.Options{Advertise: "one:999999"}, "Advertise"},
		{"advertise port 0", &server.Options{Advertise: "one:0"}, "Advertise"},
		{"advertise no host", &server.Options{Advertise: ":4222"}, "Advertise"},
		{"advertise a blank", &server.Options{Advertise: "a b:4222"}, "Advertise"},
		{"join without listening", &server.Options{Join: join(func(*server.Join) {}).Join}, "Listen"},
		{"join at no address", join(func(j *server.Join) { j.Listen = "" }), "Join.Listen"},
		{"join at port 0", join(func(j *server.Join) { j.Listen = "127.0.0.1:0" }), "Join.Listen"},
		{"join at port 00", join(func(j *server.Join) { j.Listen = "127.0.0.1:00" }), "Join.Listen"},
		{"no name", join(func(j *server.Join) { j.Name = "" }), "Join.Name"},
		{"name with a dot", join(func(j *server.Join) { j.Name = "a.b" }), "Join.Name"},
		{"name with a tab", join(func(j *server.Join) { j.Name = "a\tb" }), "Join.Name"},
		{"two servers", join(func(j *server.Join) { j.Others = j.Others[:1] }), "Join.Others"},
		{"empty server", join(func(j *server.Join) { j.Others = append(j.Others, "") }), "Join.Others"},
		{"server at a word", join(func(j *server.Join) { j.Others = append(j.Others, "a:xx") }), "Join.Others"},
		{"server at no port", join(func(j *server.Join) { j.Others = append(j.Others, "a") }), "Join.Others"},
		{"server of a user", join(func(j *server.Join) { j.Others = append(j.Others, "user@a:1") }), "Join.Others"},
		{"join advertises a word", join(func(j *server.Join) { j.Advertise = "h:x" }), "Join.Advertise"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.opts.Check()
			if c.field == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var wrong *server.OptionError
			if !errors.As(err, &wrong) || wrong.Field != c.field {
				t.Errorf("%v, want an error of Options.%s", err, c.field)
			}
			c.opts.Dir = filepath.Join(t.TempDir(), "made")
			s, made := server.New(c.opts)
			if made == nil {
				s.Close()
			}
			if made == nil || err == nil || made.Error() != err.Error() {
				t.Errorf("New: %v, want %v", made, err)
			}
			if _, err := os.Stat(c.opts.Dir); err == nil {
				t.Error("New has created the directory")
			}
		})
	}
}
