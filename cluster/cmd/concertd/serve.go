package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"concert/cluster/server"
)

func serve(ctx context.Context, flags *flag.FlagSet, args []string, out, _ io.Writer) error {
	dir := dirFlag(flags)
	listen := flags.String("listen", "127.0.0.1:4222", "")
	hosts := flags.String("hosts", "", "")
	advertise := flags.String("advertise", "", "")
	sync := flags.Bool("sync", false, "")
	sessions := flags.Int("sessions", server.DefaultSessions, "")
	connections := flags.Int("connections", server.DefaultConnections, "")
	tasks := flags.Int("tasks", server.DefaultTasks, "")
	parts := flags.Int("parts", server.DefaultParts, "")
	name := flags.String("name", "", "")
	joinListen := flags.String("join-listen", "", "")
	joinAdvertise := flags.String("join-advertise", "", "")
	join := flags.String("join", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	opts := &server.Options{Dir: filepath.Join(*dir, "data"), Listen: *listen, Hosts: list(*hosts), Advertise: *advertise, SyncAlways: *sync, Sessions: *sessions, Connections: *connections, Tasks: *tasks, Parts: *parts}
	replicas := 1
	switch {
	case *join != "":
		opts.Join, replicas = &server.Join{Name: *name, Listen: *joinListen, Advertise: *joinAdvertise, Others: list(*join)}, 3
	case *name != "" || *joinListen != "" || *joinAdvertise != "":
		return usageError{"--name, --join-listen and --join-advertise are only for a server that joins others: set --join, too"}
	}
	if err := checkOptions(opts); err != nil {
		return err
	}
	find := server.NewKeyring
	if opts.Join != nil { // the keyring must be a copy of the other servers' keyring
		find = server.OpenKeyring
	}
	k, err := find(keyringDir(*dir))
	if opts.Join != nil && errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no keyring %s: copy it from one of the servers to join", keyringDir(*dir))
	}
	if err != nil {
		return err
	}
	opts.Keyring = k
	s, err := server.New(opts)
	if err != nil {
		return err
	}
	defer s.Close()
	fmt.Fprintf(out, "concertd: listening; the URL is %s\n", s.URL())
	if holders, err := k.Holders(); err == nil && len(holders) == 0 {
		fmt.Fprintf(out, "concertd: the keyring has no keys, so no client or worker can connect; make three: concertd init --dir %s\n", quoted(*dir))
	}
	waiting := time.AfterFunc(5*time.Second, func() { fmt.Fprintln(out, "concertd: waiting for the other servers") })
	err = s.Setup(ctx, replicas)
	waiting.Stop()
	if ctx.Err() == nil {
		if err != nil {
			return err
		}
		fmt.Fprintln(out, "concertd: ready")
		<-ctx.Done()
	}
	fmt.Fprintln(out, "concertd: stopping")
	return s.Close()
}

// list splits a text at commas.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// flagOf maps the name of an option of a server to the flag that sets it.
var flagOf = map[string]string{
	"Listen": "listen", "Hosts": "hosts", "Advertise": "advertise", "SyncAlways": "sync",
	"Sessions": "sessions", "Connections": "connections", "Tasks": "tasks", "Parts": "parts",
	"Join.Name": "name", "Join.Listen": "join-listen", "Join.Advertise": "join-advertise", "Join.Others": "join",
}

// checkOptions returns a usageError if server.New would refuse the options.
func checkOptions(o *server.Options) error {
	if o.Listen == "" {
		return usageError{"--listen is empty: clients and workers need an address"}
	}
	err := o.Check()
	var wrong *server.OptionError
	if errors.As(err, &wrong) {
		return usageError{"--" + flagOf[wrong.Field] + " " + wrong.Problem}
	}
	return err
}
