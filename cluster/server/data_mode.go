package server

import (
	"fmt"
	"os"
	"path/filepath"
)

// checkData returns an error if the server joins others, and the directory
// has the data of a single server. It also returns an error if the server is
// a single one, and the directory has the data of a server that has joined
// others. Without this check, NATS would start. But a cluster removes the
// streams of a single server after half a minute, and until then, clients
// can wait for tasks in these streams. A single server cannot find out which
// data of three servers is the newest.
func (o *Options) checkData() error {
	stored := filepath.Join(o.Dir, "jetstream") // a directory for each account of NATS
	_, err := os.Stat(filepath.Join(stored, "$SYS", "_js_"))
	ofCluster, hasStreams := err == nil, false
	accounts, _ := os.ReadDir(stored) // no error if the directory is new
	for _, a := range accounts {
		streams, _ := os.ReadDir(filepath.Join(stored, a.Name(), "streams"))
		hasStreams = hasStreams || len(streams) > 0
	}
	moved := func(suffix string) string { // mv would move the data into a directory that exists
		name := o.Dir + suffix
		for n := 2; ; n++ {
			if _, err := os.Lstat(name); err != nil {
				return name
			}
			name = fmt.Sprintf("%s%s-%d", o.Dir, suffix, n)
		}
	}
	const advice = "start with empty data: 'mv %s %s' (programs that run send their tasks again; kept results, dead letters and tasks of other programs stay in the moved directory)"
	switch {
	case o.Join != nil && !ofCluster && hasStreams:
		return fmt.Errorf("server: Options.Dir: %s has the data of a single server, which several servers cannot use; "+advice, o.Dir, o.Dir, moved(".single"))
	case o.Join == nil && ofCluster:
		return fmt.Errorf("server: Options.Dir: %s has the data of a server that has joined others, which a single server cannot use; "+advice, o.Dir, o.Dir, moved(".joined"))
	}
	return nil
}
