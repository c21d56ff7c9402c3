// Package isolated concurrently runs subtests that cannot share a process,
// because they count its goroutines or change its state.
//
// Each subtest runs in a process of its own, which runs the test binary again:
//
//	parent   TestX --> t.Run("a") --> process: TestX --> t.Run("a") --> the test
//	               \-> t.Run("b") --> process: TestX --> t.Run("b") --> the test
//
// A pattern such as -run TestX/b/case works as for other subtests.
package isolated

import (
	"flag"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
)

// variable is set in the process of a subtest, to the name of the subtest.
const variable = "CONCERT_TEST_ISOLATED"

// Test is a subtest.
type Test struct {
	Name string
	Run  func(t *testing.T)
}

// Run runs subtests of t concurrently, each in a process of its own. t must be
// a top-level test.
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
	outcomes := make([]chan outcome, len(tests))
	for i, test := range tests {
		outcomes[i] = make(chan outcome, 1)
		cmd := exec.CommandContext(t.Context(), os.Args[0], arguments(t.Name())...)
		cmd.Env = append(os.Environ(), variable+"="+test.Name)
		all.Go(func() {
			out, err := cmd.CombinedOutput()
			outcomes[i] <- outcome{out, err}
		})
	}
	for i, test := range tests {
		t.Run(test.Name, func(t *testing.T) {
			if o := <-outcomes[i]; o.err != nil {
				t.Errorf("%v:\n%s", o.err, o.out)
			} else if testing.Verbose() {
				t.Logf("%s", o.out)
			}
		})
	}
}

// outcome is the output of a process, and its error.
type outcome struct {
	out []byte
	err error
}

// arguments returns the arguments of a process that runs only one top-level
// test: the flags of this process that say how tests run, and which subtests.
func arguments(test string) []string {
	args := []string{"-test.run=^" + test + "$"}
	if _, subtests, ok := strings.Cut(flag.Lookup("test.run").Value.String(), "/"); ok {
		args[0] += "/" + subtests
	}
	for _, name := range []string{"test.short", "test.v", "test.timeout", "test.skip", "test.parallel", "test.paniconexit0"} {
		if f := flag.Lookup(name); f != nil && f.Value.String() != "" {
			args = append(args, "-"+name+"="+f.Value.String())
		}
	}
	return args
}
