package jobs

import (
	"errors"
	"flag"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"concert/cmd/concert/internal/cli"
	"concert/cmd/concert/internal/jobs/inputs"
	"concert/cmd/concert/internal/web"
	"concert/internal/pyname"
	"concert/internal/serverurl"
)

// options has the values of the flags.
type options struct {
	// Work.
	shell            bool
	instead          string
	py, python       string
	threads          int
	clusterURL, key  string
	argv             []string // the command, or nil for a Python function
	groups           []inputs.Group
	list, csv        string
	nul              bool
	isDryRun, choose bool

	// Limits.
	jobs    jobCount
	timeout timeLimit
	memory  cli.Memory
	cpu     time.Duration
	delay   time.Duration
	load    loadLimit
	memFree cli.Memory

	// Failures.
	retries    int
	retryDelay time.Duration
	halt       haltRule
	journal    string
	resume     bool
	retryOld   bool

	// Output.
	unordered, lineBuffer, ungroup bool
	tag, json, quiet               bool
	results, trace                 string
	web                            web.Flag
}

// flags sets o to the defaults, and returns the flags that change o.
func (o *options) flags() *cli.Flags {
	*o = options{retryDelay: time.Second, halt: haltRule{text: "never"}, key: os.Getenv("CONCERT_KEY")}
	f := cli.NewFlags()
	f.Group("Inputs")
	f.Add(&o.list, "i", "FILE", "read inputs from the lines of a file; - is the standard input")
	f.Add(&o.nul, "0", "", "inputs end with a zero byte, not with a line feed")
	f.Add(&o.csv, "csv", "FILE", "read inputs from a CSV file with a header; {NAME} stands for a column")

	f.Add(&o.instead, "I", "TEXT", "write TEXT instead of {}; braces have no meaning then")

	f.Group("Work")
	f.Add(&o.shell, "shell", "", "COMMAND is one text for sh -c; the inputs are quoted")
	f.Add(&o.py, "py", "FUNCTION", "call a Python function, MODULE:FUNCTION, instead of a command")
	f.Add(&o.python, "python", "PROGRAM", "interpreter, or directory of a virtual environment (default $VIRTUAL_ENV, or python3)")
	f.Add(&o.threads, "threads", "N", "concurrent calls in each interpreter (default 1)")
	f.Add(&o.clusterURL, "cluster", "URL", "call the Python function in the workers of a cluster; 'default' is the server that 'concert worker' uses without --url")
	f.Add(&o.key, "key", "FILE", "client key for --cluster, as 'concertd key' makes it (default $CONCERT_KEY)")
	f.Add(&o.isDryRun, "dry-run", "", "print the command lines, and run nothing")

	f.Group("Concurrency")
	f.Add(&o.jobs, "j", "N", "concurrent jobs: a number, a percentage of the processors as in 150%, or auto to adjust the number while the jobs run (default: the number of processors; 64 with --cluster)")
	f.Add(&o.choose, "choose", "", "measure with the first jobs which concurrency is the best, and use it for the others")
	f.Add(&o.delay, "delay", "D", "minimum time between the starts of two jobs")
	f.Add(&o.load, "load", "N", "start no job while the load average is above N")
	f.Add(&o.memFree, "memfree", "SIZE", "start no job while less memory is free, as in 2G")

	f.Group("Limits of a job")
	f.Add(&o.timeout, "timeout", "D", "time limit, as in 30s, or a percentage of the median time of successful jobs, as in 300%")
	f.Add(&o.memory, "memory", "SIZE", "memory limit, as in 512M; with --py, of each interpreter")
	f.Add(&o.cpu, "cpu", "D", "limit of the processor time of each process of a job, in whole seconds")

	f.Group("Failures")
	f.Add(&o.retries, "retries", "N", "further attempts of a job that fails")
	f.Add(&o.retryDelay, "retry-delay", "D", "pause before the second attempt; it doubles, up to a minute, and half of it is random")
	f.Add(&o.halt, "halt", "RULE", "end early: now or soon, a comma, and fail=N, success=N or done=N, where N may be a percentage of all inputs; now kills the running jobs, soon waits for them")

	f.Group("Resuming")
	f.Add(&o.journal, "journal", "FILE", "record each finished job and its output")
	f.Add(&o.resume, "resume", "", "run the jobs that the journal does not have, and print the recorded output of the others")
	f.Add(&o.retryOld, "retry-failed", "", "run the jobs that have failed according to the journal; jobs without a record run only with --resume")

	f.Group("Output")
	f.Add(&o.unordered, "unordered", "", "print the output of each job as soon as it ends, not in the order of the inputs")
	f.Add(&o.lineBuffer, "line-buffer", "", "print each line as soon as it is complete")
	f.Add(&o.ungroup, "ungroup", "", "do not capture the output: jobs write to the output of map")
	f.Add(&o.tag, "tag", "", "begin each line with the input and a tab")
	f.Add(&o.results, "results", "DIR", "also write the output of each job to files in DIR")
	f.Add(&o.json, "json", "", "print a line of JSON for each job, with its output")
	f.Add(&o.quiet, "quiet", "", "print no progress and no notes, but the failed jobs")
	f.Add(&o.trace, "trace", "FILE", "write a trace of the jobs, for a trace viewer such as ui.perfetto.dev")
	o.web.Declare(f)
	return f
}

// parse reads the command line.
func parse(args []string) (o options, err error) {
	flags := o.flags()
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.argv, o.groups, err = inputs.Split(flags.Args()); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if wrong := o.wrong(given); wrong != "" {
		return o, cli.UsageError{Text: wrong}
	}
	return o, nil
}

// wrong returns a text about the first error in the flags, or "".
func (o *options) wrong(given map[string]bool) string {
	for _, rule := range []struct {
		isWrong bool
		text    string
	}{
		{o.py == "" && len(o.argv) == 0, "no command: name one, or a Python function with --py"},
		{o.py != "" && len(o.argv) > 0, "--py takes no command: inputs come after :::"},
		{o.shell && len(o.argv) > 1, "--shell takes the command as one argument: put it in quotes"},
		{o.py == "" && o.clusterURL != "", "--cluster needs --py: a cluster runs Python functions, and no commands"},
		{o.py == "" && given["python"], "--python is for --py only"},
		{o.py == "" && given["threads"], "--threads is for --py only"},
		{o.clusterURL != "" && given["python"], "--cluster and --python exclude each other: the workers have their interpreters"},
		{o.clusterURL != "" && given["threads"], "--cluster and --threads exclude each other: the workers decide it"},
		{o.clusterURL != "" && o.memory.IsSet, "--cluster and --memory exclude each other: the workers have their limits"},
		{o.clusterURL != "" && o.choose, "--cluster and --choose exclude each other: use -j auto"},
		{o.threads < 0 || given["threads"] && o.threads == 0 || o.threads > maxJobs, "--threads takes 1 to 10000"},
		{o.choose && given["j"], "--choose and -j exclude each other: --choose finds the concurrency"},
		{o.choose && given["threads"], "--choose and --threads exclude each other: --choose tries threads"},
		{o.choose && o.isDryRun, "--choose and --dry-run exclude each other: a measurement runs jobs"},
		{o.py != "" && o.cpu != 0, "--cpu is for commands only; use --timeout"},
		{o.py != "" && o.shell, "--shell is for commands only"},
		{o.py != "" && o.instead != "", "-I is for commands only"},
		{o.py != "" && o.lineBuffer, "--line-buffer is for commands only: a function has one result"},
		{o.py != "" && o.ungroup, "--ungroup is for commands only: a function has one result"},
		{o.cpu != 0 && (o.cpu < time.Second || o.cpu%time.Second != 0), "--cpu takes whole seconds, as in 10s"},
		{o.memory.IsSet && o.memory.Bytes == 0, "--memory takes an amount above 0, as in 512M"},
		{o.delay < 0, "--delay takes a time of 0 or more"},
		{o.retries < 0 || o.retries > maxRetries, "--retries takes 0 to 1000000"},
		{o.retryDelay < 0 || o.retryDelay > maxBackOff, "--retry-delay takes a time up to 1m"},
		{o.lineBuffer && o.ungroup, "--line-buffer and --ungroup exclude each other"},
		{o.ungroup && o.tag, "--ungroup and --tag exclude each other: use --line-buffer --tag"},
		{o.ungroup && o.json, "--ungroup and --json exclude each other"},
		{o.lineBuffer && o.json, "--line-buffer and --json exclude each other"},
		{o.json && o.tag, "--json and --tag exclude each other: the lines have the inputs"},
		{o.ungroup && o.results != "", "--ungroup and --results exclude each other: output that map does not capture cannot be stored"},
		{o.ungroup && o.journal != "", "--ungroup and --journal exclude each other: output that map does not capture cannot be recorded"},
		{o.journal == "" && o.resume, "--resume needs --journal"},
		{o.journal == "" && o.retryOld, "--retry-failed needs --journal"},
		{o.journal != "" && o.journal == o.trace, "--journal and --trace need different files"},
	} {
		if rule.isWrong {
			return rule.text
		}
	}
	if o.py != "" {
		if why := pyname.Check(o.py); why != nil {
			return "--py " + strconv.Quote(o.py) + ": want MODULE:FUNCTION, as in statistics:fmean: " + why.Error()
		}
	}
	if o.clusterURL != "" && o.clusterURL != defaultCluster {
		if err := serverurl.Check(o.clusterURL); err != nil {
			return "--cluster: " + err.Error()
		}
	}
	return ""
}

const (
	maxJobs    = 10_000
	maxRetries = 1_000_000
)

// jobCount is the flag -j.
type jobCount struct {
	text    string
	n       int
	percent float64
	auto    bool
}

// String implements flag.Value.
func (j *jobCount) String() string { return j.text }

var errJobCount = errors.New("want 1 to 10000, a percentage of the processors as in 150%, or auto")

// Set implements flag.Value.
func (j *jobCount) Set(text string) (err error) {
	*j = jobCount{text: text, auto: text == "auto"}
	switch {
	case j.auto:
		return nil
	case strings.HasPrefix(text, "+"): // refused, because it means "processors + N" in GNU parallel
		return errJobCount
	}
	if number, ok := strings.CutSuffix(text, "%"); ok {
		if j.percent, err = percentage(number); err != nil {
			return errJobCount
		}
		return nil
	}
	if j.n, err = strconv.Atoi(text); err != nil || j.n < 1 || j.n > maxJobs {
		return errJobCount
	}
	return nil
}

// count returns the number of concurrent jobs. The parameter standard is the
// default.
func (j *jobCount) count(standard int) int {
	switch {
	case j.n > 0:
		return j.n
	case j.percent > 0:
		return min(maxJobs, max(1, int(math.Round(j.percent/100*float64(runtime.GOMAXPROCS(0))))))
	}
	return standard
}

// loadLimit is the flag --load.
type loadLimit float64

// String implements flag.Value.
func (l *loadLimit) String() string { return strconv.FormatFloat(float64(*l), 'g', -1, 64) }

// Set implements flag.Value.
func (l *loadLimit) Set(text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f > 0 && f <= 1e6) {
		return errors.New("want a number above 0, as in 4")
	}
	*l = loadLimit(f)
	return nil
}
