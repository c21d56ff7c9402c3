//go:build linux

package main

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
)

// plainFlag makes this program the tool "a loop over os/exec".
const plainFlag = "-plain"

// runPlain runs a command for each line of the standard input, without package
// concert. Goroutines run the commands, and a channel of channels keeps the
// order of the output. The first argument is the number of concurrent
// commands.
func runPlain(args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	type result struct {
		out []byte
		err error
	}
	results := make(chan chan result, n-1)
	go func() {
		defer close(results)
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			argv := append(args[1:len(args):len(args)], lines.Text())
			r := make(chan result, 1)
			results <- r
			go func() {
				out, err := exec.Command(argv[0], argv[1:]...).Output()
				r <- result{out, err}
			}()
		}
	}()
	out := bufio.NewWriter(os.Stdout)
	for r := range results {
		got := <-r
		if got.err != nil {
			return got.err
		}
		if _, err := out.Write(got.out); err != nil {
			return err
		}
	}
	return out.Flush()
}
