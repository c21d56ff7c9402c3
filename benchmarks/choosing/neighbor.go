package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// neighbor is another program on the machine, which uses a share of one
// processor while choose measures.
type neighbor struct {
	load   float64 // the share of one processor, from 0 to 1
	bursts bool    // compute in long bursts, and not steadily
}

// start starts the program. The function stop ends it.
func (n neighbor) start() (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(self, "-compute", fmt.Sprintf("-load=%g", n.load), fmt.Sprintf("-bursts=%t", n.bursts))
	life, err := cmd.StdinPipe() // the neighbor ends when this pipe is closed, which also happens if this program dies
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		life.Close()
		cmd.Wait()
	}, nil
}

// run is the main function of the program. It computes for a part of each
// period, and sleeps for the rest.
func (n neighbor) run() {
	period := 20 * time.Millisecond
	if n.bursts {
		period = 1400 * time.Millisecond
	}
	computes := time.Duration(n.load * float64(period))
	go func() {
		for {
			sum := uint64(0)
			for begin := time.Now(); time.Since(begin) < computes; {
				sum += spin(10)
			}
			time.Sleep(period - computes + time.Duration(sum%2))
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}
