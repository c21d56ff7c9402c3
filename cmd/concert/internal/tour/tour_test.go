package tour

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"concert/choose"
	"concert/choose/models"
	"concert/cmd/concert/internal/cli"
	"concert/internal/page/pagetest"
	"concert/internal/race"
	"concert/processes"
)

func TestMain(m *testing.M) {
	processes.Main()
	showMemoryLimit = showMemoryLimit && !race.Enabled
	os.Exit(m.Run())
}

// call runs a command line as the program does.
func call(ctx context.Context, args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = cli.Main(ctx, []cli.Command{Command}, args, &o, &e)
	return code, o.String(), e.String()
}

func TestTour(t *testing.T) {
	trialBudget = time.Second // of each trial; the test ignores their results
	t.Setenv("TMPDIR", t.TempDir())
	file := filepath.Join(t.TempDir(), "tour.html")
	code, out, errOut := call(t.Context(), "tour", "--html", file)
	if code != cli.ExitOK || errOut != "" {
		t.Fatalf("exit %d: %s", code, errOut)
	}
	wants := []string{
		`concert.Map on 8 goroutines +[0-9.]+ m?s`,
		`in the order [0-7]( [0-7]){7}\n`,
		`every file was read back +and is correct`,
		`without a lock: [0-9,]+ .* lost`,
		`with sync.Mutex: 40,000 .* all there`,
		`squares \[1 4 9 16\] `,
		`42 in a worker that set it, 0 here`,
		`19 results, 1 error`,
		`a task that hangs .*it ran for too long`,
		`4 sums, sequentially .*\n  4 goroutines under the lock .* [0-9.]+x(: one computes, as in Python|\n +expected no speed-up: is the machine busy\?)\n  4 goroutines without it .* [0-9.]+x`,
		`4 waits, sequentially .*\n  4 goroutines under the lock `,
		`400 at the same time .*without a lock`,
		`a coroutine computes +[0-9.]+ m?s +its neighbor waited for [0-9.]+ m?s\n  which was (not )?reported `,
		`naps of 60, 20, 40 ms, mapped +[0-9.]+ m?s  on goroutines\n  as completed +[0-9, ]+; a wait gave up after 10 ms\n`,
		`naps of 60, 20, 40 ms, mapped +[0-9.]+ m?s  on processes\n`,
		`naps of 60, 20, 40 ms, mapped +[0-9.]+ m?s  on coroutines of a loop\n`,
		`a page from a server\n    \S`,
		`a sum of five million squares\n    \S`,
		`a sum of a hundred squares\n    \S`,
		`  model +best for +in parallel\? +comp. +waits\n  sequential execution +little to do, tiny tasks +no +1.00x +1.00x\n`,
		`\n  goroutines +I/O and computing, in Go +yes +[0-9.]+x +[0-9.]+x\n`,
		`the same with loop.Offload +[0-9.]+ m?s +its neighbor waited for [0-9.]+ .?s\n`,
	}
	if _, err := exec.LookPath("python3"); err == nil {
		wants = append(wants,
			`the interpreter +CPython 3`,
			`4 sums, sequentially .*\n  on 4 threads .*\n( +expected .*\n)?  on [0-9]+ interpreters`,
			`4 pages, sequentially .*\n  on 4 threads `,
			`4 checksums, sequentially .*\n  on 4 threads `,
			`20 tasks, one crashes in C +19 results, 1 error`,
			`the same in Python: 50,000 squares\n    \S`,
			`\n  Python, one interpreter +little to do +no +1.00x +1.00x\n`)
	}
	for _, want := range wants {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("the tour does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("escape sequences, and this is no terminal")
	}
	for i, line := range strings.Split(out, "\n") {
		if len(line) > 80 {
			t.Errorf("line %d has %d columns: %s", i+1, len(line), line)
		}
	}
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "*"))
	if err != nil || len(left) > 0 {
		t.Errorf("the tour left %q, %v", left, err)
	}
	page, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pagetest.Check(t, string(page))
}

func TestTour_Interrupted(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if code, _, errOut := call(ctx, "tour"); code != cli.ExitSignal || !strings.Contains(errOut, "interrupted") {
		t.Errorf("exit %d, %q; want %d, interrupted", code, errOut, cli.ExitSignal)
	}
}

// TestTour_NoPython: without Python, the tour must leave out what needs Python,
// and must succeed.
func TestTour_NoPython(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	code, out, errOut := call(t.Context(), "tour")
	if code != cli.ExitOK || errOut != "" || !regexp.MustCompile(`left out +python: cannot find the interpreter`).MatchString(out) {
		t.Errorf("exit %d: %s\n%s", code, errOut, out)
	}
}

func TestTour_NoTempDir(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	if code, _, errOut := call(t.Context(), "tour"); code != cli.ExitFailed || !strings.Contains(errOut, "missing") {
		t.Errorf("exit %d, %q; want %d and the directory's name", code, errOut, cli.ExitFailed)
	}
}

// TestTour_Doubt: if some verdicts are guesses, the closing table must say how
// many, on the terminal and on the page.
func TestTour_Doubt(t *testing.T) {
	var out bytes.Buffer
	guess := &choose.Report{Verdict: choose.Verdict{Certainty: choose.Unclear, Sentence: "Not sure yet."}}
	clear := &choose.Report{Verdict: choose.Verdict{Certainty: choose.Clear, Sentence: "Use goroutines."}}
	tour := &tour{out: &out, sections: []*section{{}}}
	tour.addModels(comparison{"Go", clear, clear}, models.Go())
	tour.table()
	if strings.Contains(out.String(), "Not sure yet") {
		t.Errorf("clear verdicts: %s", out.String())
	}
	tour.addModels(comparison{"Python", guess, clear}, models.Python(nil))
	out.Reset()
	tour.table()
	if err := tour.page(&out, "", ""); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`1 of the 4 verdicts were "Not sure yet"`, `1 of the 4 verdicts were &#34;Not sure yet&#34;`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %s", want, out.String())
		}
	}
}

// TestTour_Conclusions: the end of the tour must say what to use, even if a
// verdict is a guess or was not measured. It must say which models were not
// measured. It must not seem to contradict the closing table.
func TestTour_Conclusions(t *testing.T) {
	computes := &choose.Report{
		Verdict: choose.Verdict{Certainty: choose.Likely, Model: "goroutines", Concurrency: 2},
		Machine: choose.Machine{Others: 0.8},
	}
	waits := &choose.Report{
		Kind:    choose.KindVerdict{Kind: choose.IOBound},
		Verdict: choose.Verdict{Certainty: choose.Clear, Model: "goroutines", Concurrency: 64, Rising: true, Gain: choose.Interval{Median: 9.8}},
		Points:  []choose.Point{{Model: "sequential execution", Gain: choose.Interval{Median: 1}}, {Model: "goroutines", Gain: choose.Interval{Median: 9.8}}},
	}
	likely := &choose.Report{
		Verdict: choose.Verdict{Certainty: choose.Likely, Model: "goroutines", Concurrency: 4, Gain: choose.Interval{Median: 1.35}},
		Points:  []choose.Point{{Model: "goroutines", Gain: choose.Interval{Median: 1.35}}, {Model: "processes", Gain: choose.Interval{Median: 1.9}}},
	}
	if got, want := conclusion("work", likely, ""), "For work, use goroutines with concurrency 4: 1.35x. In a few measurements, processes seemed better: 1.90x."; got != want {
		t.Errorf("conclusion() = %q, want %q", got, want)
	}
	guess := &choose.Report{Verdict: choose.Verdict{Certainty: choose.Unclear}}
	alone := &choose.Report{Verdict: choose.Verdict{Certainty: choose.Clear, Model: "one interpreter", Concurrency: 1, Gain: choose.Interval{Median: 1}}}
	var out bytes.Buffer
	tour := &tour{out: &out, sections: []*section{{}}}
	tour.addModels(comparison{"Go", computes, waits}, models.Go()[:3])
	tour.addModels(comparison{"Python", guess, alone}, models.Python(nil)[:1])
	tour.table()
	if err := tour.page(&out, "", ""); err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(out.String()), " ")
	for _, want := range []string{
		"For CPU-bound work in Go, use goroutines with concurrency 2. It was not measured.",
		"For I/O-bound work in Go, use goroutines with concurrency 64 or more: 9.8x.",
		"For CPU-bound work in Python, the measurements do not decide this time. The usual choice is one task for each processor.",
		"For I/O-bound work in Python, use one interpreter: nothing else gains.",
		"Not measured, because the time was over: sequential execution for CPU-bound work; goroutines for CPU-bound work; goroutines under a GIL; Python, one interpreter for CPU-bound work.",
		"Other programs used up to 80% of the processor time.",
	} {
		if strings.Count(text, want) != 2 {
			t.Errorf("%d of 2 times %q in\n%s", strings.Count(text, want), want, out.String())
		}
	}
}
