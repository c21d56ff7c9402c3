// Package isolated runs subtests concurrently in separate processes. It is for
// subtests that count the goroutines of their process, or change its state.
//
// Each subtest runs in a separate process, which runs the test binary again:
//
//	parent   TestX --> t.Run("a") --> process: TestX --> t.Run("a") --> the test
//	               \-> t.Run("b") --> process: TestX --> t.Run("b") --> the test
//
// A pattern such as -run TestX/b/case works as for other subtests.
//
// If a subtest has many subtests that mostly wait, [Test.Split] can divide
// them between two processes. Then it takes half the time.
package isolated

import (
	"flag"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// variable is an environment variable. In the process of a subtest, its value
// is the name of the subtest.
const variable = "CONCERT_TEST_ISOLATED"

// Test is a subtest.
type Test struct {
	Name string
	Run  func(t *testing.T)

	// Split, if not empty, is a regular expression. One process runs the
	// subtests of this test whose names match Split, and another process runs
	// all other subtests of this test. If the flag -run selects subtests, one
	// process runs all of them.
	Split string
}

// Run runs subtests of t concurrently, each in a separate process. The test t
// must be a top-level test.
func Run(t *testing.T, tests ...Test) {
	if name, ok := os.LookupEnv(variable); ok {
		for _, test := range tests {
			if test.Name == name {
				t.Run(name, test.Run)
			}
		}
		return
	}
	var all sync.WaitGroup
	defer all.Wait()
	outcomes := make([][]chan outcome, len(tests))
	for i, test := range tests {
		for _, args := range processes(t.Name(), test) {
			o := make(chan outcome, 1)
			outcomes[i] = append(outcomes[i], o)
			cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
			cmd.Env = append(os.Environ(), variable+"="+test.Name)
			all.Go(func() {
				out, err := cmd.CombinedOutput()
				o <- outcome{out, err}
			})
		}
	}
	for i, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			for _, process := range outcomes[i] {
				if o := <-process; o.err != nil {
					t.Errorf("%v:\n%s", o.err, o.out)
				} else if testing.Verbose() {
					t.Logf("%s", o.out)
				}
			}
		})
	}
}

// outcome is the output of a process, and its error.
type outcome struct {
	out []byte
	err error
}

// processes returns the arguments of each process that runs a subtest of a
// top-level test: the test flags of this process, and a flag -run that selects
// subtests.
func processes(top string, test Test) [][]string {
	var args []string
	for _, name := range []string{"test.short", "test.v", "test.timeout", "test.parallel", "test.paniconexit0"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			args = append(args, "-"+name+"="+f.Value.String())
		}
	}
	skip := flag.Lookup("test.skip").Value.String()
	with := func(run, skip string) []string {
		return append(slices.Clip(args), "-test.run="+run, "-test.skip="+skip)
	}
	run := "^" + top + "$"
	if _, subtests, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		return [][]string{with(run+"/"+subtests, skip)}
	}
	if test.Split == "" {
		return [][]string{with(run, skip)}
	}
	split := run + "/^" + test.Name + "$/" + test.Split
	others := split
	if skip != "" {
		others = skip + "|" + split
	}
	return [][]string{with(split, skip), with(run, others)}
}
