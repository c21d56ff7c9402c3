package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/web"
	"concert/internal/printable"
)

const statusHelp = `Usage: concert status [flags]

Lists the workers of a cluster, the waiting tasks, and the dead letters.

The server of a cluster is concertd. Without --url and --key, the command shows
the server that 'concertd dev' runs for this user. A server of 'concertd serve'
requires the key of an admin, which 'concertd key' makes.

The column "running" has the running tasks and the slots of a worker, such as
2/8. The column "done" has the number of tasks that have ended. The state of a
worker is ready, busy (all slots run tasks), stopping (it accepts no more tasks)
or silent (a heartbeat is missing). After ten seconds without a heartbeat, a
worker is no longer listed. Long texts are cut to fit 80 columns; --json prints
everything.

Waiting tasks are the tasks that clients have sent and that have no result yet.
Running tasks are included. Tasks that still wait in a client are not counted.

Dead letters are tasks whose workers were lost five times, tasks whose last
attempt failed, and messages that are not tasks.

Flags:

Exit codes:
  0    success
  1    no connection, or some dead letters could not be replayed or removed
  2    the command line is wrong
  130  interrupted

Examples:
  With 'concertd dev' in another terminal:

    concert status

  With a server on another machine:

    export CONCERT_URL=tls://one.example:4222 CONCERT_KEY=admin.key
    concert status --watch
    concert status --dead
    concert status --replay all
`

// Status is the command "concert status".
var Status = cli.Command{Name: "status", Summary: "list the workers, waiting tasks and dead letters of a cluster", Help: statusHelp, Flags: new(statusOptions).flags(), Run: runStatus}

type statusOptions struct {
	clusterFlags
	watch, dead, json bool
	replay, discard   string
	timeout           time.Duration // the maximum time in which the servers answer
	web               web.Flag
}

const (
	statusPeriod  = 2 * time.Second
	statusTimeout = 10 * time.Second
	letterBatch   = 1000
)

// flags sets o to the defaults, and returns the flags that change o.
func (o *statusOptions) flags() *cli.Flags {
	o.timeout = statusTimeout
	f := o.clusterFlags.flags("key file")
	f.Add(&o.watch, "watch", "", "repeat every two seconds, until Ctrl-C")
	f.Add(&o.dead, "dead", "", "list the dead letters")
	f.Add(&o.replay, "replay", "WHICH", "run the tasks of dead letters again; WHICH lists the numbers of the dead letters, as in 4,7, or is the word all")
	f.Add(&o.discard, "discard", "WHICH", "remove dead letters; WHICH is as for --replay")
	f.Add(&o.json, "json", "", "print everything as JSON")
	o.web.Declare(f)
	return f
}

func parseStatus(args []string) (o statusOptions, err error) {
	flags := o.flags()
	if err := flags.ParseAnywhere(args); err != nil {
		return o, err
	}
	does := 0
	for _, on := range []bool{o.watch, o.dead, o.replay != "", o.discard != "", o.web.IsSet()} {
		if on {
			does++
		}
	}
	switch {
	case o.checkURL() != nil:
		err = o.checkURL()
	case flags.NArg() > 0:
		err = cli.UsageError{Text: fmt.Sprintf("unexpected argument %q", flags.Arg(0))}
	case does > 1:
		err = cli.UsageError{Text: "--watch, --dead, --replay, --discard and --web do not go together"}
	case o.json && (o.replay != "" || o.discard != "" || o.web.IsSet()):
		err = cli.UsageError{Text: "--json does not go together with --replay, --discard and --web"}
	}
	for _, numbers := range []string{o.replay, o.discard} {
		if _, _, bad := letterNumbers(numbers); bad != nil {
			err = cli.UsageError{Text: bad.Error()}
		}
	}
	return o, err
}

// letterNumbers parses the value of a flag: the numbers of dead letters, or the
// word all.
func letterNumbers(text string) (numbers []uint64, all bool, err error) {
	if text == "" || text == "all" {
		return nil, text == "all", nil
	}
	for _, part := range strings.Split(text, ",") {
		n, err := strconv.ParseUint(part, 10, 64)
		if err != nil || n == 0 {
			return nil, false, fmt.Errorf("%q: want the numbers of dead letters, as in 4,7, or the word all", text)
		}
		numbers = append(numbers, n)
	}
	return numbers, false, nil
}

// status is what the command prints, also as JSON.
type status struct {
	Time    time.Time        `json:"time"`
	Workers []cluster.Worker `json:"workers"`
	Queues  []cluster.Queue  `json:"queues"`
	Dead    int              `json:"dead"`

	// Names has the names of keys, by the public keys of workers and clients.
	Names map[string]string `json:"names"`
}

func runStatus(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parseStatus(args)
	if err != nil {
		return err
	}
	return o.run(ctx, out, errOut)
}

func (o *statusOptions) run(ctx context.Context, out, errOut io.Writer) error {
	access := o.access()
	in, err := cluster.Inspect(ctx, o.url, &access)
	if err != nil {
		return err
	}
	defer in.Close()
	switch {
	case o.web.IsSet():
		return serveStatus(ctx, in, &o.web, errOut)
	case o.dead:
		return listLetters(ctx, in, o.json, out)
	case o.replay != "":
		return eachLetter(ctx, in, o.replay, "replayed", in.Replay, out, errOut)
	case o.discard != "":
		return eachLetter(ctx, in, o.discard, "discarded", in.Discard, out, errOut)
	}
	st := cli.StyleFor(out)
	for {
		s, err := statusOf(ctx, in, o.timeout)
		switch {
		case err != nil && (!o.watch || ctx.Err() != nil):
			return err
		case err != nil: // a server that is started again answers later
			fmt.Fprintf(errOut, "concert status: %s\n", printable.Text(err.Error()))
		default:
			if o.watch && st.On {
				fmt.Fprint(out, "\x1b[H\x1b[2J")
			}
			if o.json {
				err = json.NewEncoder(out).Encode(s)
			} else {
				err = s.print(out, st)
			}
			if err != nil || !o.watch {
				return err
			}
		}
		select {
		case <-time.After(statusPeriod):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// statusOf asks the servers for the status. It fails after the timeout.
func statusOf(ctx context.Context, in *cluster.Inspector, timeout time.Duration) (s status, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("the servers have not answered within %v", timeout))
	defer cancel()
	defer func() {
		if errors.Is(err, context.DeadlineExceeded) {
			err = context.Cause(ctx)
		}
	}()
	s.Time, s.Workers, s.Queues = time.Now(), in.Workers(), []cluster.Queue{}
	if s.Workers == nil { // in JSON, an empty list must not be null
		s.Workers = []cluster.Worker{}
	}
	queues, err := in.Queues(ctx)
	if err != nil {
		return s, err
	}
	s.Queues = append(s.Queues, queues...)
	if s.Dead, err = in.Dead(ctx); err != nil {
		return s, err
	}
	var keys []string
	for _, w := range s.Workers {
		keys = append(keys, w.Key)
	}
	for _, q := range s.Queues {
		keys = append(keys, q.Client)
	}
	slices.Sort(keys)
	s.Names, err = in.Names(ctx, slices.Compact(keys))
	return s, err
}
