package choose

import (
	"flag"
	"fmt"
	"time"

	"concert/choose"
	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/web"
)

const help = `Usage: concert choose [flags] COMMAND [ARGUMENT...] ::: INPUT...
       concert choose [flags] --py MODULE:FUNCTION ::: INPUT...
       concert choose [flags] --get ::: URL...

Measures how to run your work concurrently. There are two answers, each with its
own certainty: the kind of the work (CPU-bound, I/O-bound or mixed), and the
model with its concurrency and gain. choose runs a sample of the work alone and
then under each model that applies, at rising concurrency, and compares.

The work runs many times, so it must be safe to repeat. Each run gets one input;
after the last input, the first one is used again. Without ::: the inputs are
the first 10000 lines of the standard input.

  a command       {} in its arguments is replaced by the input; without any {},
                  the input is added at the end. No shell is involved. Its
                  output is discarded. An exit code other than 0 is a failure.
  --py            a Python function of one argument. An input that is JSON is
                  decoded; any other input is a str. Modules in the current
                  directory can be used.
  --get           downloads, into a directory that is removed afterwards.

Flags:

The report goes to the standard output, everything else to the standard error.
After Ctrl-C it reports what it has measured so far.

Exit codes:
  0    there is a recommendation to follow; on a busy machine, or if runs are
       long, the kind of the work may decide it ("certainty": "likely" in the
       output of --json)
  1    the work failed, or there is no verdict
  2    the command line is wrong; nothing was run
  3    neither the kind nor the measurements decide: the verdict is a guess
  130  interrupted

Examples:
  concert choose convert {} -resize 50% /tmp/small.png ::: *.jpg
  ls *.log | concert choose gzip -kc
  concert choose --py statistics:fmean ::: '[1, 2, 4]' '[8.5, 9]'
  concert choose --get --budget 1m ::: https://example.com/{a,b}.iso
`

// options has the values of the flags.
type options struct {
	choose.Options
	py, python       string
	html, trace      string
	get, json, quiet bool
	web              web.Flag
}

// separator is the argument between a command and its inputs.
const separator = ":::"

// flags sets o to the defaults, and returns the flags that change o.
func (o *options) flags() *cli.Flags {
	o.Budget = 20 * time.Second
	f := cli.NewFlags()
	f.Add(&o.Budget, "budget", "D", "time limit, a second or more")
	f.Add(&o.MaxRuns, "runs", "N", "maximum number of runs of the work (default 10000; 1000 with --get)")
	f.Add(&o.MaxConcurrency, "max", "N", "maximum concurrency to try, 1 to 10000 (default 256; 64 with --get and --py)")
	f.Add(&o.py, "py", "FUNCTION", "the work is a Python function")
	f.Add(&o.python, "python", "PROGRAM", "interpreter, or directory of a virtual environment (default $VIRTUAL_ENV, or python3)")
	f.Add(&o.get, "get", "", "the work is a download")
	f.Add(&o.json, "json", "", "print the report as JSON")
	f.Add(&o.html, "html", "FILE", "write the report as an HTML page as well")
	f.Add(&o.trace, "trace", "FILE", "write a trace of the runs, for a trace viewer such as ui.perfetto.dev")
	f.Add(&o.quiet, "quiet", "", "print the verdict only")
	o.web.Declare(f)
	return f
}

// parse reads the command line. The result inputs is nil if the inputs come
// from the standard input.
func parse(args []string) (o options, command, inputs []string, err error) {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
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
		err = cli.UsageError{Text: "--html and --trace need different files"}
	case o.py != "" && o.get:
		err = cli.UsageError{Text: "--py and --get exclude each other"}
	case o.python != "" && o.py == "":
		err = cli.UsageError{Text: "--python is for --py only"}
	case (o.py != "" || o.get) && len(command) > 0:
		err = cli.UsageError{Text: fmt.Sprintf("unexpected argument %q: inputs come after %s", command[0], separator)}
	case o.py == "" && !o.get && len(command) == 0:
		err = cli.UsageError{Text: "no work: name a command, or use --py or --get"}
	case inputs != nil && len(inputs) == 0:
		err = cli.UsageError{Text: "nothing after " + separator}
	}
	return o, command, inputs, err
}
