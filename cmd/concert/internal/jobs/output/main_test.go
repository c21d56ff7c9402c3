package output

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// TestMain runs the tests. If a test has started this process, it runs a part
// of that test instead.
func TestMain(m *testing.M) {
	if dir := os.Getenv("CONCERT_TEST_STORE"); dir != "" {
		fmt.Println(holdOutput(dir))
		select {} // until the test kills this process
	}
	os.Exit(m.Run())
}

// holdOutput stores outputs of all kinds in a directory.
func holdOutput(dir string) error {
	s, err := NewStore(dir)
	if err != nil {
		return err
	}
	p := NewPrinter(s, &Options{Stdout: os.Stderr, Stderr: os.Stderr})
	s.memory, s.large = maxMemory, maxLarge-1
	for n := 2; n < 6; n++ { // these jobs wait, because job 1 is never done
		c, err := p.Begin(nil)
		if err != nil {
			return err
		}
		c.Stdout.Write(make([]byte, 1<<20))
		o, err := c.Finish(false)
		if err != nil {
			return err
		}
		p.Done(context.Background(), &Record{Number: n}, o)
	}
	_, err = p.Begin(nil)
	return err
}

// text returns an output that is in memory.
func text(stdout, stderr string) *Output { return Bytes([]byte(stdout), []byte(stderr)) }
