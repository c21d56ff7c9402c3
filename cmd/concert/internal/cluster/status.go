package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"concert/cluster"
	"concert/cmd/concert/internal/cli"
	"concert/internal/printable"
)

const statusHelp = `Usage: concert status [flags]

Lists the workers of a cluster, the waiting tasks, and the dead letters.

The server of a cluster is concertd. Without --url and --key, the command shows
the server that 'concertd dev' runs for this user. A server of 'concertd serve'
requires the key of an admin, which 'concertd key' makes.

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
}

const (
	statusPeriod = 2 * time.Second
	letterBatch  = 1000
)

// flags sets o to the defaults, and returns the flags that change o.
func (o *statusOptions) flags() *cli.Flags {
	f := o.clusterFlags.flags("key file")
	f.Add(&o.watch, "watch", "", "repeat every two seconds, until Ctrl-C")
	f.Add(&o.dead, "dead", "", "list the dead letters")
	f.Add(&o.replay, "replay", "WHICH", "run the tasks of dead letters again; WHICH lists the numbers of the dead letters, as in 4,7, or is the word all")
	f.Add(&o.discard, "discard", "WHICH", "remove dead letters; WHICH is as for --replay")
	f.Add(&o.json, "json", "", "print everything as JSON")
	return f
}

func parseStatus(args []string) (o statusOptions, err error) {
	flags := o.flags()
	if err := flags.ParseAnywhere(args); err != nil {
		return o, err
	}
	does := 0
	for _, on := range []bool{o.watch, o.dead, o.replay != "", o.discard != ""} {
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
		err = cli.UsageError{Text: "--watch, --dead, --replay and --discard do not go together"}
	case o.json && (o.replay != "" || o.discard != ""):
		err = cli.UsageError{Text: "--json does not go together with --replay and --discard"}
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
}

func runStatus(ctx context.Context, args []string, out, errOut io.Writer) error {
	o, err := parseStatus(args)
	if err != nil {
		return err
	}
	access := o.access()
	in, err := cluster.Inspect(ctx, o.url, &access)
	if err != nil {
		return err
	}
	defer in.Close()
	switch {
	case o.dead:
		return listLetters(ctx, in, o.json, out)
	case o.replay != "":
		return eachLetter(ctx, in, o.replay, "replayed", in.Replay, out, errOut)
	case o.discard != "":
		return eachLetter(ctx, in, o.discard, "discarded", in.Discard, out, errOut)
	}
	st := cli.StyleFor(out)
	for {
		s, err := statusOf(ctx, in)
		if err != nil {
			return err
		}
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
		select {
		case <-time.After(statusPeriod):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func statusOf(ctx context.Context, in *cluster.Inspector) (s status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s.Time, s.Workers, s.Queues = time.Now(), in.Workers(), []cluster.Queue{}
	if s.Workers == nil { // in JSON, an empty list must not be null
		s.Workers = []cluster.Worker{}
	}
	queues, err := in.Queues(ctx)
	if err != nil {
		return s, err
	}
	s.Queues = append(s.Queues, queues...)
	s.Dead, err = in.Dead(ctx)
	return s, err
}

func (s *status) print(out io.Writer, st cli.Style) error {
	contracts := map[string]string{} // the functions of a capability set, as text; the key identifies the set
	running, slots := 0, 0
	for _, w := range s.Workers {
		contracts[w.Capabilities] = functionList(w.Functions)
		running += w.Running
		slots += w.Slots
	}
	fmt.Fprintln(out, st.Bold(fmt.Sprintf("%s, %d of %s taken", count(len(s.Workers), "worker"), running, count(slots, "slot"))))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Workers) > 0 {
		fmt.Fprintln(t, "  host\tpid\trunning\tfinished\tfailed\tup\tfunctions")
	}
	for _, w := range s.Workers {
		up := s.Time.Sub(w.Since).Round(time.Second).String()
		if w.Draining {
			up += ", drains"
		}
		fmt.Fprintf(t, "  %s\t%d\t%d of %d\t%d\t%d\t%s\t%s\n", w.Host, w.Pid, w.Running, w.Slots, w.Finished, w.Failed, up, functionList(w.Functions))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var tasks uint64
	for _, q := range s.Queues {
		tasks += q.Tasks
	}
	fmt.Fprintln(out, st.Bold(fmt.Sprintf("%s waiting", count(int(tasks), "task"))))
	t = tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if len(s.Queues) > 0 {
		fmt.Fprintln(t, "  client\ttasks\tfor")
	}
	for _, q := range s.Queues {
		to, there := contracts[q.Capabilities]
		if !there {
			to = "functions that no worker offers"
		}
		fmt.Fprintf(t, "  %s\t%d\t%s\n", q.Client, q.Tasks, to)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	letters := st.Bold(count(s.Dead, "dead letter"))
	if s.Dead > 0 {
		letters += ": concert status --dead lists them"
	}
	_, err := fmt.Fprintln(out, letters)
	return err
}

// functionName returns the name of a function as users write it.
func functionName(n string) string {
	if rest, ok := strings.CutPrefix(n, "python:"); ok { // also removes the part that says how arguments are passed
		_, n, _ = strings.Cut(rest, ":")
	}
	return n
}

// functionList returns a text with the first three names, and the number of
// further names.
func functionList(names []string) string {
	var shown []string
	for _, n := range names {
		if n = functionName(n); !slices.Contains(shown, n) { // a Python function has several names
			shown = append(shown, n)
		}
	}
	if more := len(shown) - 3; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(shown[:3], ", "), more)
	}
	return strings.Join(shown, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// letters calls the function take with each dead letter.
func letters(ctx context.Context, in *cluster.Inspector, take func(cluster.DeadLetter)) error {
	for next := uint64(1); ; {
		batch, err := in.DeadLetters(ctx, next, letterBatch)
		if err != nil {
			return err
		}
		for _, d := range batch {
			take(d)
			next = d.Number + 1
		}
		if len(batch) < letterBatch {
			return nil
		}
	}
}

func listLetters(ctx context.Context, in *cluster.Inspector, asJSON bool, out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	n := 0
	err := letters(ctx, in, func(d cluster.DeadLetter) {
		if asJSON {
			json.NewEncoder(out).Encode(d)
			return
		}
		if n++; n == 1 {
			fmt.Fprintln(t, "number\twhen\tfunction\tinput\tclient\treason")
		}
		function := cmp.Or(functionName(d.Function), "no task")
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", d.Number, d.At.Format(time.DateTime), function, letterInput(d), d.Client, d.Reason)
	})
	if err == nil {
		err = t.Flush()
	}
	if err == nil && n == 0 && !asJSON {
		fmt.Fprintln(out, "no dead letters")
	}
	return err
}

// letterInput returns the index and the label of the input of a dead letter, as
// in "17 (cat.jpg)".
func letterInput(d cluster.DeadLetter) string {
	switch {
	case d.Index < 0:
		return d.Label
	case d.Label == "":
		return strconv.FormatInt(d.Index, 10)
	}
	return fmt.Sprintf("%d (%s)", d.Index, d.Label)
}

// eachLetter calls the function do with the number of each dead letter that the
// user has selected. After an error, eachLetter continues with the next dead
// letter.
func eachLetter(ctx context.Context, in *cluster.Inspector, which, done string, do func(context.Context, uint64) error, out, errOut io.Writer) error {
	numbers, all, err := letterNumbers(which)
	if err != nil {
		return err
	}
	if all {
		if err := letters(ctx, in, func(d cluster.DeadLetter) { numbers = append(numbers, d.Number) }); err != nil {
			return err
		}
	}
	failed := 0
	for _, n := range numbers {
		if err := do(ctx, n); err != nil {
			if ctx.Err() != nil {
				return err
			}
			failed++
			fmt.Fprintf(errOut, "concert status: %s\n", printable.Text(err.Error()))
		}
	}
	fmt.Fprintf(out, "%s %s\n", count(len(numbers)-failed, "dead letter"), done)
	if failed > 0 {
		return cli.ErrReported
	}
	return nil
}
