//go:build linux

package main

import (
	"bytes"
	"fmt"
	"time"
)

// row is a workload with its own table: one command for many inputs.
type row struct {
	id      string
	about   string
	inputs  int
	input   string   // each input; if it is empty, the inputs are numbers from 1
	jobs    int      // concurrent jobs
	command []string // the input is its last argument
	prints  bool     // whether a job prints its input
	limit   time.Duration
	rounds  int
}

var rows = []row{
	{id: "true", about: "3,000 runs of true, concurrency 2", inputs: 3000, jobs: 2, command: []string{"true"}, rounds: 7},
	{id: "sleep", about: "200 runs of sleep 0.05, concurrency 50; ideal is 0.2 s", inputs: 200, input: "0.05", jobs: 50, command: []string{"sleep"}, rounds: 5},
	{id: "echo", about: "2,000 runs of sh -c echo, concurrency 2, with output", inputs: 2000, jobs: 2, command: []string{"sh", "-c", `echo "$1"`, "sh"}, prints: true, rounds: 5},
	{id: "million", about: "the first 15 seconds of a million runs of true, concurrency 2: memory", inputs: 1e6, jobs: 2, command: []string{"true"}, limit: 15 * time.Second, rounds: 1},
}

// list returns the inputs of the row, one in each line.
func (r row) list() []byte {
	var b bytes.Buffer
	for i := range r.inputs {
		if r.input != "" {
			fmt.Fprintln(&b, r.input)
		} else {
			fmt.Fprintln(&b, i+1)
		}
	}
	return b.Bytes()
}
