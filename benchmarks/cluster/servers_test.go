package cluster

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// redisServer returns the path of redis-server. It skips the benchmark if there
// is no such program.
func redisServer(b *testing.B) string {
	b.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		b.Skip("there is no redis-server to compare with: install Debian's package redis-server")
	}
	return path
}

// postgresPrograms returns the directory of PostgreSQL's programs. On Debian,
// this directory is not in PATH. postgresPrograms skips the benchmark if there
// is no PostgreSQL.
func postgresPrograms(b *testing.B) string {
	b.Helper()
	if path, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(path)
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		b.Skip("there is no PostgreSQL to compare with: install Debian's package postgresql")
	}
	return filepath.Dir(found[len(found)-1])
}

// beRedis runs Redis. The argument is the path of its program. With the options
// appendonly and appendfsync, Redis appends each acknowledged write to a file,
// and syncs the file every second. By default, Redis would only write a
// snapshot from time to time.
func beRedis(args []string) error {
	dir, err := os.MkdirTemp("", "concert-redis-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	port, err := freePort()
	if err != nil {
		return err
	}
	at := net.JoinHostPort("127.0.0.1", port)
	return keep(at, func(context.Context) error {
		conn, err := net.Dial("tcp", at)
		if err != nil {
			return err
		}
		return conn.Close()
	}, dir, args[0], "--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "yes", "--appendfsync", "everysec")
}

// bePostgres runs PostgreSQL with the settings that initdb makes. The arguments
// are the directory of PostgreSQL's programs, and the value of
// synchronous_commit.
func bePostgres(args []string) error {
	dir, err := os.MkdirTemp("", "concert-postgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	port, err := freePort()
	if err != nil {
		return err
	}
	var as []string
	if os.Getuid() == 0 { // PostgreSQL refuses to run as root
		if err := give(dir, "postgres"); err != nil {
			return err
		}
		as = []string{"setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups", "--"}
	}
	data := filepath.Join(dir, "data")
	initdb := append(as, filepath.Join(args[0], "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd := exec.Command(initdb[0], initdb[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	url := "postgres://postgres@127.0.0.1:" + port + "/postgres?sslmode=disable"
	return keep(url, func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}, dir, append(as, filepath.Join(args[0], "postgres"), "-D", data, "-h", "127.0.0.1", "-p", port,
		"-c", "unix_socket_directories=", "-c", "synchronous_commit="+args[1])...)
}

// keep runs a program until the standard input of this process ends. Then keep
// interrupts the program. Redis and PostgreSQL end at once when they are
// interrupted, even if clients are connected. The parameter at is the address
// of the program. keep calls the function ready until this function returns
// nil, which means that the program accepts connections. If the program ends
// before it is ready, or is not ready after a minute, the error contains the
// program's output.
func keep(at string, ready func(context.Context) error, dir string, command ...string) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second // the time between the interrupt and the kill of the program
	cmd.Dir = dir
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for late := time.After(time.Minute); ready(ctx) != nil; {
		select {
		case err := <-ended:
			return fmt.Errorf("the program ended before it was ready: %w\n%s", err, output.Bytes())
		case <-late:
			cancel()
			<-ended
			return fmt.Errorf("the program is not ready after a minute\n%s", output.Bytes())
		case <-time.After(20 * time.Millisecond):
		}
	}
	untilTheEnd(at)
	cancel()
	<-ended
	return nil
}

// freePort returns a port on which no program listened a moment ago.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// give makes a user the owner of a directory.
func give(dir, name string) error {
	u, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return os.Chown(dir, uid, gid)
}
