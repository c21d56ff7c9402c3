package jet

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"concert/cluster/internal/wire"
	"concert/cluster/server"
)

// TestConn_Names: an admin must receive the names of keys, in any number. Other
// holders of keys must receive an error.
func TestConn_Names(t *testing.T) {
	k, err := server.NewKeyring(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	roles := []server.Role{server.Client, server.Worker, server.Admin}
	files, public, want := map[server.Role]string{}, []string{}, map[string]string{}
	for _, role := range roles {
		text, err := k.Add(role, "the-"+string(role))
		if err != nil {
			t.Fatal(err)
		}
		files[role] = filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(files[role], text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s, err := server.New(&server.Options{Keyring: k}) // starts with these keys in its keyring
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	conns := map[server.Role]*Conn{}
	for _, role := range roles {
		c := dial(t, Access{Key: files[role], InProcess: s})
		t.Cleanup(c.Close)
		conns[role] = c
		public, want[c.Public] = append(public, c.Public), "the-"+string(role)
	}
	unknown := slices.Repeat([]string{"unknown"}, 2*wire.MaxNames)
	if got, err := conns[server.Admin].Names(t.Context(), slices.Concat(public[:1], unknown, public[1:])); err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, role := range roles[:2] {
		if got, err := conns[role].Names(t.Context(), public); err == nil || !strings.Contains(err.Error(), "only an admin may read the names") {
			t.Errorf("%s: %v, %v", role, got, err)
		}
	}
}
