package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"concert"
	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/progress"
	"concert/trace"
)

const chooseHelp = `Usage: concert choose [flags] COMMAND [ARGUMENT...] ::: INPUT...
       concert choose [flags] --py MODULE:FUNCTION ::: INPUT...
       concert choose [flags] --get ::: URL...

Measures how to run your work concurrently: under which model, how many tasks at
once, how much that gains, and how certain the verdict is. It runs a sample of the
work under each model that applies, at rising concurrency, and compares.

The work runs many times, with the inputs in turn, so it must be work that may be
repeated. Without ::: the inputs are the first 10000 lines of the standard input.

  a command       {} in its arguments is replaced by the input; without any {}
                  the input is added at the end. No shell is involved. Its output
                  is discarded; an exit code other than 0 is a failure.
  --py            a Python function of one argument. An input that is JSON is
                  decoded; any other input is a str. Modules in the current
                  directory can be used.
  --get           downloads, into a directory that is removed afterwards.

Flags:
  --budget D            time limit (default 20s)
  --runs N              maximum number of runs of the work (default 10000; 1000
                        with --get)
  --max N               maximum concurrency to try (default 256; 64 with --get
                        and --py)
  --py FUNCTION         the work is a Python function
  --python PROGRAM      the interpreter, or the directory of a virtual environment
                        (default $VIRTUAL_ENV, or python3)
  --get                 the work is a download
  --json                print the report as JSON
  --html FILE           write the report as an HTML page as well
  --trace FILE          write what ran where and when, for a trace viewer such as
                        ui.perfetto.dev
  --quiet               print the verdict only

The answer goes to the standard output, everything else to the standard error.
After Ctrl-C it prints what it has measured so far.

Exit codes: 0 there is a verdict; 1 the work fails, or there is no verdict; 2 the
command line is wrong, and nothing was run; 3 the verdict is only a guess, and says
so; 130 interrupted.

Examples:
  concert choose convert {} -resize 50% /tmp/small.png ::: *.jpg
  ls *.log | concert choose gzip -kc
  concert choose --py statistics:fmean ::: '[1, 2, 4]' '[8.5, 9]'
  concert choose --get --budget 1m ::: https://example.com/a https://example.com/b
`

// chooseOptions has the values of the flags.
type chooseOptions struct {
	choose.Options
	py, python       string
	html, trace      string
	get, json, quiet bool
}

// separator is between a command and its inputs.
const separator = ":::"

// parseChoose reads the command line. inputs is nil if they come from the
// standard input.
func parseChoose(args []string) (o chooseOptions, command, inputs []string, err error) {
	flags := cli.NewFlags("choose")
	flags.DurationVar(&o.Budget, "budget", 20*time.Second, "")
	flags.IntVar(&o.MaxRuns, "runs", 0, "")
	flags.IntVar(&o.MaxConcurrency, "max", 0, "")
	flags.StringVar(&o.py, "py", "", "")
	flags.StringVar(&o.python, "python", "", "")
	flags.BoolVar(&o.get, "get", false, "")
	flags.BoolVar(&o.json, "json", false, "")
	flags.StringVar(&o.html, "html", "", "")
	flags.StringVar(&o.trace, "trace", "", "")
	flags.BoolVar(&o.quiet, "quiet", false, "")
	if err := cli.Parse(flags, args); err != nil {
		return o, nil, nil, err
	}
	command = flags.Args()
	for i, a := range command {
		if a == separator {
			command, inputs = command[:i], append([]string{}, command[i+1:]...)
			break
		}
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["runs"] {
		o.MaxRuns = 10_000
		if o.get {
			o.MaxRuns = 1000
		}
	}
	if !given["max"] {
		o.MaxConcurrency = 256
		if o.get || o.py != "" {
			o.MaxConcurrency = 64
		}
	}
	switch {
	case o.Budget < time.Second:
		err = cli.UsageError{Text: "--budget takes a second or more, as in 20s or 2m"}
	case o.MaxRuns < 1:
		err = cli.UsageError{Text: "--runs takes 1 or more"}
	case o.MaxConcurrency < 1 || o.MaxConcurrency > 10_000:
		err = cli.UsageError{Text: "--max takes 1 to 10000"}
	case o.html != "" && o.html == o.trace:
		err = cli.UsageError{Text: "--html and --trace are two files"}
	case o.py != "" && o.get:
		err = cli.UsageError{Text: "--py and --get exclude each other"}
	case o.python != "" && o.py == "":
		err = cli.UsageError{Text: "--python says which interpreter is for --py"}
	case (o.py != "" || o.get) && len(command) > 0:
		err = cli.UsageError{Text: fmt.Sprintf("unexpected argument %q: inputs come after %s", command[0], separator)}
	case o.py == "" && !o.get && len(command) == 0:
		err = cli.UsageError{Text: "no work: name a command, or use --py or --get"}
	case inputs != nil && len(inputs) == 0:
		err = cli.UsageError{Text: "nothing after " + separator}
	}
	return o, command, inputs, err
}

// maxInputs is the number of lines of the standard input that are used. A
// sample is sufficient.
const maxInputs = 10_000

// readInputs reads inputs from the lines of in, until ctx ends.
func readInputs(ctx context.Context, in io.Reader) (inputs []string, err error) {
	type result struct {
		inputs []string
		err    error
	}
	read := make(chan result, 1)
	go func() { // a read of a terminal or a pipe cannot be canceled
		inputs, err := readLines(in)
		read <- result{inputs, err}
	}()
	select {
	case r := <-read:
		return r.inputs, r.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func readLines(in io.Reader) (inputs []string, err error) {
	if progress.IsTerminal(os.Stdin) && in == os.Stdin {
		return nil, cli.UsageError{Text: "no inputs: give them after " + separator + ", or as lines of the standard input"}
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for len(inputs) < maxInputs && lines.Scan() {
		if line := strings.TrimSuffix(lines.Text(), "\r"); line != "" {
			inputs = append(inputs, line)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, cli.UsageError{Text: fmt.Sprintf("standard input, line %d: %v", len(inputs)+1, err)}
	}
	if len(inputs) == 0 {
		return nil, cli.UsageError{Text: "no inputs: the standard input has no lines"}
	}
	return inputs, nil
}

// job is one kind of work with the arguments of choose.Run.
type job struct {
	what  string // for messages
	run   func(ctx context.Context, opts *choose.Options) (*choose.Report, error)
	close func() // undoes what was prepared
}

func runChoose(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	o, command, inputs, err := parseChoose(args)
	if err != nil {
		return err
	}
	if inputs == nil {
		if inputs, err = readInputs(ctx, os.Stdin); err != nil {
			return err
		}
	}
	var j *job
	switch {
	case o.get:
		j, err = getJob(inputs)
	case o.py != "":
		j, err = pythonJob(o, inputs)
	default:
		j, err = commandJob(command, inputs)
	}
	if err != nil {
		return err
	}
	defer j.close()
	// Open the output files first, so that an error is found before the
	// measurements and not after them.
	page, err := cli.NewOutput(o.html)
	if err != nil {
		return err
	}
	defer page.Discard()
	events, err := cli.NewOutput(o.trace)
	if err != nil {
		return err
	}
	defer events.Discard()
	if events != nil {
		tracer := trace.New(events)
		defer func() {
			if e := events.Commit(tracer.Close()); e != nil && (err == nil || errors.Is(err, cli.ErrGuess)) {
				err = e
			}
		}()
		o.Observer = func(model string, level int) concert.Observer {
			return tracer.Observer(choose.Step{Model: model, Concurrency: level}.String())
		}
	}
	follow := newFollower(errOut, o)
	follow.announce(j.what, len(inputs))
	o.OnStep = follow.step
	report, err := j.run(ctx, &o.Options)
	follow.clear()
	if report == nil {
		return err
	}
	var failed error
	if o.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		failed = e.Encode(report)
	} else {
		failed = printReport(out, report, o.quiet)
	}
	if page != nil {
		failed = errors.Join(failed, page.Commit(report.HTML(page, j.what)))
	}
	if failed != nil {
		return failed
	}
	if err == nil && report.Verdict.Certainty == choose.Unclear {
		err = cli.ErrGuess
	}
	return err
}

// follower shows the steps of Run on a terminal.
type follower struct {
	chooseOptions
	w        io.Writer
	line     bool // w is a terminal, so a line can be replaced
	showing  bool
	profiled bool // the duration of a run has been printed
}

func newFollower(w io.Writer, o chooseOptions) *follower {
	return &follower{chooseOptions: o, w: w, line: progress.IsTerminal(w)}
}

// announce prints what Run is going to do.
func (f *follower) announce(what string, inputs int) {
	if f.quiet {
		return
	}
	with := fmt.Sprintf("%d inputs in turn", inputs)
	if inputs == 1 {
		with = "one input"
	}
	fmt.Fprintf(f.w, "Running %s repeatedly, with %s: for at most %s,\nat most %s times, with concurrency up to %d.\n",
		what, with, shortTime(f.Budget), cli.Thousands(int64(f.MaxRuns)), f.MaxConcurrency)
}

func (f *follower) step(s choose.Step) {
	if f.quiet {
		return
	}
	if s.Profile != nil && !f.profiled {
		f.profiled = true
		f.clear()
		fmt.Fprintf(f.w, "One run alone takes %s.\n", progress.Duration(s.Profile.Wall))
	}
	if !f.line {
		return
	}
	f.clear()
	fmt.Fprintf(f.w, "%3.0f s of %s, %s runs: %.50s", s.Elapsed.Seconds(), shortTime(f.Budget), cli.Thousands(int64(s.Runs)), s)
	f.showing = true
}

func (f *follower) clear() {
	if f.showing {
		fmt.Fprint(f.w, "\r\x1b[K")
		f.showing = false
	}
}

// shortTime returns a duration as for a flag.
func shortTime(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// printReport prints the report as text.
func printReport(w io.Writer, r *choose.Report, quiet bool) error {
	style := cli.StyleFor(w)
	if quiet {
		_, err := fmt.Fprintln(w, r.Verdict.Sentence)
		return err
	}
	out := &strings.Builder{}
	fmt.Fprintf(out, "\n%s\n", style.Bold(cli.Wrap(r.Verdict.Sentence, 80)))
	if r.Verdict.Code != "" {
		fmt.Fprintf(out, "\n  %s\n", style.Good(r.Verdict.Code))
	}
	fmt.Fprintf(out, "\n%s\n", r.Table())
	for _, line := range r.Verdict.Reasons {
		fmt.Fprintln(out, cli.Wrap(line, 80))
	}
	if len(r.Verdict.Caveats) > 0 {
		fmt.Fprintln(out)
		for _, line := range r.Verdict.Caveats {
			fmt.Fprintln(out, style.Dim(cli.Wrap(line, 80)))
		}
	}
	_, err := io.WriteString(w, out.String())
	return err
}
